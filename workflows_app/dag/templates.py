"""Finds and compiles the expressions of a document, each text once."""

from collections.abc import Iterator
from dataclasses import dataclass

from workflows_app.dag.expressions import Expression, ExpressionSyntaxError, compile_expression
from workflows_app.dag.rendering import CLOSING, OPENING, find_expressions
from workflows_app.dag.types import JsonValue
from workflows_app.dag.wording import Path, quoted

# The values in which expressions can be.
_HOLDERS = (str, dict, list)


@dataclass(slots=True, kw_only=True)
class ParsedText:
    """A text with expressions. `is_whole`: it is one expression and nothing else, and keeps its type."""

    expressions: tuple[Expression, ...] = ()
    errors: tuple[str, ...] = ()
    is_whole: bool = False


class Templates:
    """The expressions of one document. Errors come as sentences; nothing is raised."""

    __slots__ = ("_conditions", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, ParsedText] = {}
        self._conditions: dict[str, ParsedText] = {}

    def text(self, text: str) -> ParsedText:
        """The expressions in `${{ }}` in a text."""
        if (parsed := self._texts.get(text)) is None:
            parsed = self._texts[text] = _parse(text)
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


def _parse(text: str) -> ParsedText:
    try:
        sources = [found.source for found in find_expressions(text)]
    except ExpressionSyntaxError as error:
        return ParsedText(errors=(_sentence(text, error),))
    is_whole = len(sources) == 1 and text.startswith(OPENING) and text.endswith(CLOSING)
    return _compile(sources, is_whole=is_whole)


def _compile(sources: list[str], *, is_whole: bool) -> ParsedText:
    expressions: list[Expression] = []
    errors: list[str] = []
    for source in sources:
        try:
            expressions.append(compile_expression(source))
        except ExpressionSyntaxError as error:
            errors.append(_sentence(source, error))
    return ParsedText(expressions=tuple(expressions), errors=tuple(errors), is_whole=is_whole)


def _sentence(source: str, error: ExpressionSyntaxError) -> str:
    return f"The expression {quoted(source.strip())} is not valid: {error.reason.rstrip('.')}."
