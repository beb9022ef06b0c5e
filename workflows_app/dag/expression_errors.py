"""What can be wrong with an expression: when it is read, and when it is evaluated."""

from typing import override


class ExpressionError(Exception):
    """Raised for an expression that cannot be evaluated.

    `reason` is a whole sentence. `source` is the expression, `position` the offset in it, from 0, at which the error
    was found; `path` is where the expression stands in its template (`prices[0].symbol`). All three may be unknown.
    """

    code = "expression_error"

    def __init__(self, reason: str, *, source: str = "", position: int | None = None, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = source
        self.position = position
        self.path = path

    @override
    def __str__(self) -> str:
        return f"At {self.path}: {self.reason}" if self.path else self.reason


class ExpressionSyntaxError(ExpressionError):
    """Raised for text that is no expression, before anything is evaluated."""


class LimitExceeded(ExpressionError):
    """Raised for an expression that needs more steps, text, digits or depth than one may."""


class Absent(ExpressionError):
    """Raised for a name, key or index that is not there, and for access into null: what `default` and `has` catch."""
