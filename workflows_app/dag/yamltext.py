"""YAML documents with the scalars of JSON: what is no JSON number and not `true`, `false` or `null` is text.

Read from PyYAML's events, so that nothing is resolved by YAML 1.1's rules, and written so that other readers,
which follow them, find the same text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonValue

# The stubs know neither the events' fields nor the resolver.
_yaml: Any = yaml
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}


class YamlError(ValueError):
    """Raised for text that is no YAML document of this kind. `line` and `column` count from 1."""

    def __init__(self, sentence: str, mark: Any = None) -> None:
        self.line: int | None = None if mark is None else mark.line + 1
        self.column: int | None = None if mark is None else mark.column + 1
        place = "" if mark is None else f" (line {self.line}, column {self.column})"
        super().__init__(f"{sentence}{place}")


@dataclass(slots=True)
class _Lines:
    """The line of a value and of the values in it, by key or position."""

    line: int
    inside: "dict[str | int, _Lines]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A document and where its values stand."""

    value: JsonValue
    lines: _Lines

    def line_of(self, path: Sequence[str | int]) -> int | None:
        """The line, from 1, of the value at a path, or of its nearest parent."""
        at = self.lines
        for step in path:
            below = at.inside.get(step)
            if below is None:
                break
            at = below
        return at.line


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is being read. `key` is set between a key and its value."""

    value: "dict[str, JsonValue] | list[JsonValue]"
    lines: _Lines
    key: str | None = None
    key_line: int = 0

    def put(self, value: JsonValue, lines: _Lines) -> None:
        if isinstance(self.value, list):
            self.lines.inside[len(self.value)] = lines
            self.value.append(value)
        else:
            assert self.key is not None
            lines.line = self.key_line
            self.lines.inside[self.key] = lines
            self.value[self.key] = value
            self.key = None

    def take_key(self, key: str, mark: Any) -> None:
        assert isinstance(self.value, dict)
        if key in self.value:
            raise YamlError(f"The key '{key}' stands twice in this mapping: remove one of them.", mark)
        self.key, self.key_line = key, mark.line + 1

    @property
    def expects_key(self) -> bool:
        return isinstance(self.value, dict) and self.key is None


def load(text: str) -> Loaded:
    """Read one document. Raises `YamlError` with line and column."""
    _refuse_characters(text)
    stack: list[_Open] = []
    result: Loaded | None = None
    try:
        for event in _events(text):
            value: JsonValue
            lines = _Lines(event.start_mark.line + 1)
            match event:
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    _open(stack, event, lines)
                    continue
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    closed = stack.pop()
                    value, lines = closed.value, closed.lines
                case yaml.ScalarEvent():
                    # In double quotes they can be written as escapes.
                    _refuse_characters(event.value, event.start_mark)
                    if stack and stack[-1].expects_key:
                        stack[-1].take_key(event.value, event.start_mark)
                        continue
                    value = _scalar(event)
                case _:
                    continue
            if stack:
                stack[-1].put(value, lines)
            elif result is not None:
                raise YamlError("There is a second document: keep one to a file.", event.start_mark)
            else:
                result = Loaded(value=value, lines=lines)
    except yaml.MarkedYAMLError as error:
        problem = error.problem or "it cannot be read"
        raise YamlError(f"{problem[0].upper()}{problem[1:]}.", error.problem_mark) from error
    except yaml.YAMLError as error:
        raise YamlError(f"{error}.") from error
    if result is None:
        raise YamlError("The document is empty.")
    return result


def dump(value: JsonValue) -> str:
    """Block style, keys in their order; `load(dump(value)).value` is the same value, digit for digit."""
    return _yaml.serialize(_node(value), Dumper=_Dumper, allow_unicode=True, width=1_000_000)


def _refuse_characters(text: str, mark: Any = None) -> None:
    if "\0" in text:
        raise YamlError("The text holds U+0000: remove it.", mark)
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        raise YamlError("The text holds a lone surrogate, which is no character.", mark)


def _events(text: str) -> Iterator[Any]:
    for event in _yaml.parse(text.removeprefix("\ufeff"), Loader=_Loader):
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            raise YamlError("An alias (*name) is not allowed: write the value out.", mark)
        if getattr(event, "anchor", None) is not None:
            raise YamlError("An anchor (&name) is not allowed: write values out where they are used.", mark)
        if getattr(event, "tag", None) is not None:
            raise YamlError(f"A tag ({event.tag}) is not allowed: values are JSON's.", mark)
        if isinstance(event, yaml.DocumentStartEvent) and (event.version or event.tags):
            raise YamlError("A directive (%YAML, %TAG) is not allowed.", mark)
        yield event


def _open(stack: list[_Open], event: Any, lines: _Lines) -> None:
    if stack and stack[-1].expects_key:
        raise YamlError("A mapping's key must be text, not a list or a mapping.", event.start_mark)
    if len(stack) >= jsontext.MAX_DEPTH:
        raise YamlError(f"It is nested deeper than {jsontext.MAX_DEPTH} levels.", event.start_mark)
    stack.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], lines))


def _scalar(event: Any) -> JsonValue:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    try:
        # The codec holds the bounds of numbers.
        return jsontext.loads(text)
    except jsontext.JsonError as error:
        raise YamlError(f"{error} Put it in quotes if it is meant as text.", event.start_mark) from error


def _node(value: JsonValue) -> yaml.Node:
    match value:
        case dict():
            pairs = [(_text_node(key), _node(item)) for key, item in value.items()]
            return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=not value)
        case list():
            items = [_node(item) for item in value]
            return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=not value)
        case str():
            return _text_node(value)
        case bool() | None:
            kind = "null" if value is None else "bool"
            return yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", jsontext.dumps(value))
        case _:
            text = jsontext.dumps(value)
            # Whatever YAML 1.1 makes of the spelling, it must come out plain.
            tag = _yaml.resolver.Resolver().resolve(yaml.ScalarNode, text, (True, False))
            return yaml.ScalarNode(tag, text)


def _text_node(text: str) -> yaml.Node:
    style = None
    if text in _WORDS or _NUMBER.fullmatch(text) or _LOOKS_SPECIAL.fullmatch(text):
        style = "'"
    elif "\n" in text and _LITERAL.fullmatch(text):
        style = "|"
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


# What YAML 1.1 or 1.2 readers take for a number, a date, null or a truth value.
_LOOKS_SPECIAL = re.compile(
    r"""(?i:y|n|yes|no|on|off|true|false|null|~|<<|=|)
    |[-+.]?[0-9][0-9a-fA-FxXoObB_:.,eE+TtZz\ -]*
    |[-+]?\.(?i:inf|nan)""",
    re.VERBOSE,
)
# Text that comes back unchanged from a literal block: it neither begins with space nor holds control characters.
_CONTROL = r"\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff"
_LITERAL = re.compile(rf"[^\s{_CONTROL}][^{_CONTROL}]*")
