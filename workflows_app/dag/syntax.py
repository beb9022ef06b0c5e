"""From source to Python's syntax tree, and what to say where that fails or goes too far."""

import ast
import keyword
import re
import threading
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


# A text that does not end goes to the end of the source: Python's parser will say so.
_OUTSIDE = re.compile(r"""(?P<text>"(?:[^"\\]|\\.)*(?:"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z))|[\t\n\r\f]""", re.DOTALL)
# What Python's parser may warn of, besides backslashes: `1if x`.
_SUSPECT_NUMBER = re.compile(r"[0-9][A-Za-z_]")
_QUIET = threading.Lock()


def why_not(node: ast.AST) -> str:
    """Why a part of Python's syntax is refused; a sentence."""
    return f"{_NOT_ALLOWED.get(type(node), f'{type(node).__name__} is not part of the language')}."


def parse(source: str) -> ast.expr:
    """The tree of an expression, its offsets counted in bytes of `source`. Raises `ExpressionSyntaxError`."""
    text = _OUTSIDE.sub(_spaced, source)
    indent = len(text) - len(text.lstrip(" "))
    try:
        tree = _parsed(text[indent:])
    except SyntaxError as error:
        raise _explained(source, error, indent) from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionSyntaxError("The expression is nested too deeply, or holds U+0000.") from None
    if "#" in text[indent + characters(text[indent:], tree.end_col_offset or 0) :]:
        raise ExpressionSyntaxError("An expression has no comments: remove what begins with #.")
    for node in ast.walk(tree):
        if isinstance(node, (ast.expr, ast.arg)) and node.end_col_offset is not None:
            node.col_offset += indent
            node.end_col_offset += indent
    return tree


def _spaced(match: re.Match[str]) -> str:
    """A line break outside of texts means nothing, and offsets stay as they are; inside, it would move them."""
    if match["text"] is None:
        return " "
    if "\n" in match["text"] or "\r" in match["text"]:
        reason = "A text ends on the line on which it begins: write \\n in it."
        raise ExpressionSyntaxError(reason, position=match.start())
    return match["text"]


def _parsed(text: str) -> ast.expr:
    if "\\" not in text and not _SUSPECT_NUMBER.search(text):
        return ast.parse(text, mode="eval").body
    # A pattern such as '\d' is fine here. Warnings are switched off for the whole process: one thread at a time.
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def characters(text: str, byte_offset: int) -> int:
    """The characters in so many bytes of a text: `ast` counts bytes."""
    return len(text.encode()[:byte_offset].decode("utf-8", "ignore"))


def is_static(node: ast.expr) -> bool:
    """Whether a node is a name with constant keys: the first part of a longer reference."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Subscript) and not (
            isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        ):
            return False
        node = node.value
    return isinstance(node, ast.Name)


_HINTS = (
    (r"&&", "write `and`, not `&&`"),
    (r"\|\|", "write `or`, not `||`"),
    (r"!(?!=)", "write `not`, not `!`"),
    (r"(?<![=!<>])=(?!=)", "compare with `==`, not `=`"),
    (r"\?", "write `x if condition else y`, not `?:`"),
)


def _explained(source: str, error: SyntaxError, indent: int) -> ExpressionSyntaxError:
    if not source.strip():
        return ExpressionSyntaxError("The expression is empty.")
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "''", source)
    for pattern, hint in _HINTS:
        if re.search(pattern, outside):
            return ExpressionSyntaxError(f"This is no expression: {hint}.")
    for word in re.findall(r"\.\s*([A-Za-z]+)", outside):
        if keyword.iskeyword(word):
            return ExpressionSyntaxError(f"'{word}' is a reserved word: write [\"{word}\"] instead of .{word}.")
    reason = error.msg.rstrip(".")
    position = None if error.offset is None else min(len(source), max(0, error.offset - 1) + indent)
    return ExpressionSyntaxError(f"This is no expression: {reason}.", position=position)
