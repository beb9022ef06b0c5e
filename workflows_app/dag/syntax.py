"""From source to Python's syntax tree, and what to say where that fails or goes too far."""

import ast
import re
import warnings

from workflows_app.dag.operations import ExpressionSyntaxError

_NOT_ALLOWED: dict[type[ast.AST], str] = {
    ast.Pow: "** is not part of the language",
    ast.Lambda: "A lambda is not part of the language",
    ast.NamedExpr: "An assignment is not part of the language",
    ast.Starred: "* is not part of the language",
    ast.JoinedStr: "An f-string is not part of the language: put ${{ }} into the text around",
    ast.Slice: "A slice is not part of the language",
    ast.Set: "A set is not JSON: write a list",
    ast.SetComp: "A set is not JSON: write a list",
    ast.Tuple: "A tuple is not JSON: write a list",
}


def why_not(node: ast.AST) -> str:
    """Why a part of Python's syntax is refused; a sentence."""
    return f"{_NOT_ALLOWED.get(type(node), f'{type(node).__name__} is not part of the language')}."


def parse(source: str) -> ast.expr:
    """The tree of an expression, its offsets counted in bytes of `source`. Raises `ExpressionSyntaxError`."""
    # A line break means nothing, and offsets stay as they are.
    text = re.sub(r"[\t\n\r\f]", " ", source)
    indent = len(text) - len(text.lstrip(" "))
    try:
        with warnings.catch_warnings():
            # A pattern such as '\\d' is fine here.
            warnings.simplefilter("ignore")
            tree = ast.parse(text[indent:], mode="eval").body
    except SyntaxError as error:
        raise _explained(source, error) from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionSyntaxError("The expression is nested too deeply, or holds U+0000.") from None
    if "#" in text[indent + characters(text[indent:], tree.end_col_offset or 0) :]:
        raise ExpressionSyntaxError("An expression has no comments: remove what begins with #.")
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.arg)) and node.end_col_offset is not None:
            node.col_offset += indent
            node.end_col_offset += indent
    return tree


def characters(text: str, byte_offset: int) -> int:
    """The characters in so many bytes of a text: `ast` counts bytes."""
    return len(text.encode()[:byte_offset].decode("utf-8", "ignore"))


_HINTS = (
    (r"&&", "write `and`, not `&&`"),
    (r"\|\|", "write `or`, not `||`"),
    (r"!(?!=)", "write `not`, not `!`"),
    (r"(?<![=!<>])=(?!=)", "compare with `==`, not `=`"),
    (r"\?", "write `x if condition else y`, not `?:`"),
)


def _explained(source: str, error: SyntaxError) -> ExpressionSyntaxError:
    if not source.strip():
        return ExpressionSyntaxError("The expression is empty.")
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "''", source)
    for pattern, hint in _HINTS:
        if re.search(pattern, outside):
            return ExpressionSyntaxError(f"This is no expression: {hint}.")
    reason = error.msg.rstrip(".")
    position = None if error.offset is None else max(0, error.offset - 1)
    return ExpressionSyntaxError(f"This is no expression: {reason}.", position=position)
