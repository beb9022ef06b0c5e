"""Templates: `${{ expression }}` inside the strings of a JSON value, rendered once and never again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from workflows_app.dag.conversions import to_text
from workflows_app.dag.evaluation import remembered
from workflows_app.dag.expressions import (
    Expression,
    ExpressionError,
    ExpressionSyntaxError,
    Scope,
    compile_expression,
)
from workflows_app.dag.operations import MAX_TEXT, Budget, LimitExceeded, is_too_long
from workflows_app.dag.results import ResultCopy
from workflows_app.dag.types import JsonValue

__all__ = ["FoundExpression", "Scope", "evaluate_condition", "find_expressions", "render"]

OPENING, CLOSING, ESCAPED = "${{", "}}", "$${{"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundExpression:
    """An expression in a template: `path` is dotted (`items[0].price`), empty for the template itself."""

    path: str
    source: str


def render(template: JsonValue, scope: Scope) -> JsonValue:
    """A copy of the template with its expressions evaluated.

    A string that is one expression becomes its value; text around makes a string. Raises `ExpressionError`.
    """
    return _render(template, _Rendering(scope))


def evaluate_condition(source: str, scope: Scope) -> bool:
    """Whether a bare expression is true, as Python counts truth. Raises `ExpressionError`."""
    return bool(compile_expression(source).evaluate(scope))


def find_expressions(template: JsonValue) -> list[FoundExpression]:
    """All expressions of a template, in order. Raises `ExpressionSyntaxError` for one that does not end."""
    return list(_find(template, ""))


def _find(template: JsonValue, path: str) -> Iterator[FoundExpression]:
    match template:
        case str() if OPENING in template:
            for part in _split(template):
                if isinstance(part, _Source):
                    yield FoundExpression(path=path, source=part)
        case dict():
            for key, value in template.items():
                yield from _find(value, f"{path}.{key}" if path else key)
        case list():
            for position, value in enumerate(template):
                yield from _find(value, f"{path}[{position}]")
        case _:
            pass


class _Rendering:
    """The rendering of one template: looks every name up once, and watches over the size of all results."""

    __slots__ = ("_read", "_scope", "copy")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._read: dict[str, object] = {}
        self.copy = ResultCopy()

    @property
    def now(self) -> datetime:
        return self._scope.now

    def lookup(self, name: str) -> object:
        if name not in self._read:
            self._read[name] = remembered(self._scope.lookup(name))
        return self._read[name]


def _render(template: JsonValue, rendering: _Rendering) -> JsonValue:
    match template:
        case str():
            return _render_text(template, rendering)
        case dict():
            return {key: _render_at(key, value, rendering) for key, value in template.items()}
        case list():
            return [_render_at(f"[{position}]", value, rendering) for position, value in enumerate(template)]
        case _:
            return template


def _render_at(step: str, value: JsonValue, rendering: _Rendering) -> JsonValue:
    if not isinstance(value, (str, dict, list)):
        return value
    try:
        return _render(value, rendering)
    except ExpressionError as error:
        error.at(step)
        raise


def _render_text(text: str, rendering: _Rendering) -> JsonValue:
    if OPENING not in text:
        return text
    parts = _compiled(text)
    try:
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return rendering.copy.of(parts[0].evaluate(rendering))
        pieces = [part if isinstance(part, str) else to_text(part.evaluate(rendering), Budget()) for part in parts]
    except ExpressionError as error:
        error.source = error.source or text
        raise
    # The template's own text may be as long as it is.
    if sum(map(len, pieces)) > max(MAX_TEXT, len(text)) or is_too_long(
        rendered := "".join(pieces), max(MAX_TEXT, len(text.encode()))
    ):
        raise LimitExceeded(f"The rendered text has more than {MAX_TEXT} bytes.", text)
    return rendered


class _Source(str):
    """The source of an expression between its braces."""

    __slots__ = ()


@lru_cache(maxsize=4096)
def _compiled(text: str) -> tuple[str | Expression, ...]:
    return tuple(compile_expression(str(part).strip()) if isinstance(part, _Source) else part for part in _split(text))


def _split(text: str) -> Iterator[str]:
    """Text and sources in turn, without the braces."""
    at = 0
    literal: list[str] = []
    while (opening := text.find(OPENING, at)) >= 0:
        if opening > 0 and text[opening - 1] == "$" and opening - 1 >= at:
            literal += [text[at : opening - 1], OPENING]
            at = opening + len(OPENING)
            continue
        end = _end(text, opening + len(OPENING))
        literal.append(text[at:opening])
        if any(literal):
            yield "".join(literal)
        literal = []
        yield _Source(text[opening + len(OPENING) : end].strip())
        at = end + len(CLOSING)
    literal.append(text[at:])
    if any(literal):
        yield "".join(literal)


def _end(text: str, start: int) -> int:
    """Where the expression's closing braces are: not inside a string, not those of an object."""
    depth, quote, position = 0, "", start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth:
                depth -= 1
            elif text.startswith(CLOSING, position):
                return position
        position += 1
    raise ExpressionSyntaxError(
        "A ${{ has no closing }}: close it, or write $${{ for the characters themselves.",
        text,
        start - len(OPENING),
    )
