"""Finds and compiles the expressions of a document, each text once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword

from workflows_app.dag.expressions import ExpressionSyntaxError, Reference, compile_expression
from workflows_app.dag.rendering import CLOSING, OPENING, find_expressions
from workflows_app.dag.types import JsonValue
from workflows_app.dag.wording import Path, quoted

# The values in which expressions can be.
_HOLDERS = (str, dict, list)
# A text that is nothing but one dotted reference, as most are: what it says is plain without compiling it.
_PLAIN = re.compile(r"\$\{\{ *((?:nodes|errors|input|vars)(?:\.[A-Za-z][A-Za-z0-9_]*){1,8}) *\}\}")


@dataclass(slots=True, kw_only=True)
class ParsedText:
    """What a text with expressions refers to, and what is wrong with it.

    `is_whole`: it is one expression and nothing else, and keeps its type. `plain`: the path of that expression
    where it is nothing but one dotted reference; else empty.
    """

    references: tuple[Reference, ...] = ()
    errors: tuple[str, ...] = ()
    is_whole: bool = False
    plain: tuple[str, ...] = ()


class Templates:
    """The expressions of one document. Errors come as sentences; nothing is raised."""

    __slots__ = ("_conditions", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, ParsedText] = {}
        self._conditions: dict[str, ParsedText] = {}

    def text(self, text: str) -> ParsedText:
        """The expressions in `${{ }}` in a text."""
        if (parsed := self._texts.get(text)) is None:
            parsed = self._texts[text] = _plain(text) or _parse(text)
        return parsed

    def condition(self, source: str) -> ParsedText:
        """The expression that a condition is: written bare."""
        if (parsed := self._conditions.get(source)) is None:
            if source.lstrip().startswith(OPENING):
                message = f"A condition is an expression by itself: write it without {OPENING} and {CLOSING}."
                parsed = ParsedText(errors=(message,))
            else:
                parsed = _compile([source], is_whole=True)
            self._conditions[source] = parsed
        return parsed


def texts_of(template: JsonValue, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text in a template that may hold an expression, with its path, in document order."""
    stack: list[tuple[Path, JsonValue]] = [(path, template)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, str):
            if OPENING in value:
                yield place, value
        elif isinstance(value, dict):
            stack += [((*place, key), item) for key, item in reversed(value.items()) if isinstance(item, _HOLDERS)]
        elif isinstance(value, list):
            items = [((*place, number), item) for number, item in enumerate(value) if isinstance(item, _HOLDERS)]
            stack += reversed(items)


def secrets_of(template: JsonValue) -> list[str]:
    """The names of the secrets that the expressions of a valid template use, each once."""
    found: dict[str, None] = {}
    for _, text in texts_of(template, ()):
        if "secrets" in text:
            paths = [reference.path for reference in _parse(text).references]
            found |= {path[1]: None for path in paths if path[0] == "secrets" and len(path) > 1}
    return list(found)


def _plain(text: str) -> ParsedText | None:
    match = _PLAIN.fullmatch(text)
    path = tuple(match[1].split(".")) if match else ()
    if not path or any(map(iskeyword, path)):
        return None
    return ParsedText(references=(Reference(path=path, guarded=False, position=0),), is_whole=True, plain=path)


def _parse(text: str) -> ParsedText:
    try:
        sources = [found.source for found in find_expressions(text)]
    except ExpressionSyntaxError as error:
        return ParsedText(errors=(_sentence(text, error),))
    is_whole = len(sources) == 1 and text.startswith(OPENING) and text.endswith(CLOSING)
    return _compile(sources, is_whole=is_whole)


def _compile(sources: list[str], *, is_whole: bool) -> ParsedText:
    references: list[Reference] = []
    errors: list[str] = []
    for source in sources:
        try:
            references += compile_expression(source).references
        except ExpressionSyntaxError as error:
            errors.append(_sentence(source, error))
    only = references[0].path if is_whole and len(references) == 1 else ()
    return ParsedText(
        references=tuple(references),
        errors=tuple(errors),
        is_whole=is_whole,
        plain=only if sources[:1] == [".".join(only)] else (),
    )


def _sentence(source: str, error: ExpressionSyntaxError) -> str:
    return f"The expression {quoted(source.strip())} is not valid: {error.reason.rstrip('.')}."
