"""The expression language: Python's expression syntax, a whitelist of its nodes, our own meaning.

Source is parsed by `ast`, checked and compiled to closures; evaluation counts steps and never touches a Python
attribute, calls a method or runs code of the source.
"""

from datetime import datetime
from functools import lru_cache
from typing import cast

from workflows_app.dag import operations as ops
from workflows_app.dag import syntax
from workflows_app.dag.compilation import Compiler, Reference
from workflows_app.dag.evaluation import Code, Frame, Scope
from workflows_app.dag.operations import (
    MAX_SOURCE_BYTES,
    ExpressionError,
    ExpressionSyntaxError,
    LimitExceeded,
)
from workflows_app.dag.types import JsonValue

__all__ = [
    "Expression",
    "ExpressionError",
    "ExpressionSyntaxError",
    "LimitExceeded",
    "Reference",
    "Scope",
    "compile_expression",
]


class Expression:
    """A checked expression, ready to be evaluated any number of times."""

    __slots__ = ("_code", "references", "source")

    def __init__(self, source: str, code: Code, references: tuple[Reference, ...]) -> None:
        self.source = source
        self.references = references
        self._code = code

    def evaluate(self, scope: Scope) -> JsonValue | datetime:
        """Raises `ExpressionError`; nothing else, whatever the data."""
        frame = Frame(scope)
        try:
            return cast("JsonValue | datetime", ops.plain(self._code(frame), frame.budget))
        except ExpressionError as error:
            error.source = self.source
            raise
        except (RecursionError, MemoryError):
            raise LimitExceeded("The expression works on values that are nested too deeply.", self.source) from None


@lru_cache(maxsize=4096)
def compile_expression(source: str) -> Expression:
    """Parse and check. Raises `ExpressionSyntaxError` that says what is not allowed, and where."""
    if len(source.encode("utf-8", "replace")) > MAX_SOURCE_BYTES:
        raise ExpressionSyntaxError(
            f"The expression has more than {MAX_SOURCE_BYTES} bytes: compute parts of it in nodes before."
        )
    compiler = Compiler(source)
    try:
        code = compiler.code(syntax.parse(source), 0)
    except ExpressionSyntaxError as error:
        error.source = source
        raise
    return Expression(source, code, tuple(compiler.references))
