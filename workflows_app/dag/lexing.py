"""Reads an expression word by word, before Python's parser sees it: what is left for the parser is short, shallow
ASCII without texts, comments, foreign operators and reserved words.
"""

import keyword
import re
from dataclasses import dataclass
from typing import NoReturn

from workflows_app.dag.expression_errors import ExpressionSyntaxError, LimitExceeded

MAX_SOURCE_BYTES = 2048
MAX_DEPTH = 50

# A text in quotes, on one line. Also where a template looks for the end of an expression.
QUOTED = r""""(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'"""

_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\r\n\f]+)
    | (?P<text>[rRuU]?(?:{QUOTED}))
    | (?P<prefix>(?i:b|f|t|br|rb|fr|rf|tr|rt)(?=["']))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?)
    | (?P<foreign>===|!==|\.\.\.|&&|\|\||\*\*|:=|->|=>|<>|<<|>>|\?\?|\?\.|=(?!=)|!(?!=)|[?&|^~@;`$\\\#"'])
    | (?P<sign>==|!=|<=|>=|//|[-+*/%<>()\[\]{{}}.,:])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {
    "\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a",
}  # fmt: skip
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_KEYWORDS = frozenset({"and", "or", "not", "in", "if", "else", "for", "True", "False", "None"})
_ADVICE = {
    "=": "'=' is no operator: compare with '=='. Arguments of functions have no names.",
    "===": "'===' is no operator: compare with '=='.",
    "!==": "'!==' is no operator: compare with '!='.",
    "<>": "'<>' is no operator: compare with '!='.",
    "&&": "'&&' is no operator: write 'and'.",
    "||": "'||' is no operator: write 'or'.",
    "!": "'!' is no operator: write 'not'.",
    "?": "'?' is no operator: write 'x if condition else y'.",
    "??": "'??' is no operator: write 'default(x, y)'.",
    "?.": "'?.' is no operator: write 'default(x.y, null)'.",
    "**": "'**' is not part of expressions: multiply instead.",
    ":=": "':=' is not part of expressions: an expression gives no names.",
    "#": "Expressions have no comments: remove what begins with '#'.",
    '"': "A text begins here that does not end: close the quotation marks on the same line.",
    "'": "A text begins here that does not end: close the quotation marks on the same line.",
    "is": "'is' is not part of expressions: compare with '=='.",
    "lambda": "'lambda' is not part of expressions: write a comprehension, such as [x.price for x in items].",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """An expression as Python's parser may see it.

    `code` has the same characters at the same places as `source[offset:]`, except that texts are blanked and
    reserved words after a dot replaced; what stood there is in `texts` and `members`, by position in `code`.
    """

    source: str
    offset: int
    code: str
    texts: dict[int, str]
    members: dict[int, str]


def scan(source: str) -> Scan:
    """Raises `ExpressionSyntaxError` for what no expression may contain, `LimitExceeded` for too much of it."""
    _check_size(source)
    offset = len(source) - len(source.lstrip(" \t\r\n\f"))
    scanner = _Scanner(source, offset)
    stripped = source.rstrip(" \t\r\n\f")
    if not stripped:
        raise ExpressionSyntaxError("The expression is empty: write a value, such as input.symbol.", source=source)
    while scanner.position < len(stripped):
        scanner.step()
    return scanner.finish()


def _check_size(source: str) -> None:
    found = _UNSTORABLE.search(source)
    if found:
        reason = "The expression holds a character that no text may have (U+0000 or a lone surrogate): remove it."
        raise ExpressionSyntaxError(reason, source=source[:MAX_SOURCE_BYTES], position=found.start())
    size = len(source.strip().encode())
    if size > MAX_SOURCE_BYTES:
        reason = (
            f"The expression has {size} bytes and may have {MAX_SOURCE_BYTES}: compute parts of it in nodes before."
        )
        raise TooLarge(reason, source=source[:MAX_SOURCE_BYTES])


class TooLarge(ExpressionSyntaxError, LimitExceeded):
    """Raised for an expression that is too long or nested too deeply to be read."""


class _Scanner:
    __slots__ = ("brackets", "last", "members", "offset", "parts", "position", "prefixes", "source", "texts")

    def __init__(self, source: str, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.position = offset
        self.parts: list[str] = []
        self.texts: dict[int, str] = {}
        self.members: dict[int, str] = {}
        # Open brackets with their places; the last token; how many unary operators stand in a row.
        self.brackets: list[tuple[str, int]] = []
        self.last = ""
        self.prefixes = 0

    def step(self) -> None:
        """Take one token."""
        match = _TOKEN.match(self.source, self.position)
        if match is None:
            self._refuse_character()
        token = match[0]
        kind = match.lastgroup
        self.prefixes = self.prefixes + (token in ("-", "+", "not")) if kind != "space" else self.prefixes
        match kind:
            case "space":
                self.parts.append(" " * len(token))
            case "text":
                self._text(token)
            case "name":
                self._name(token)
            case "number":
                self._number(token)
            case "sign":
                self._sign(token)
            case "prefix":
                self.fail(f"A text has no prefix {token!r}: write it in plain quotation marks.")
            case _:
                self.fail(_ADVICE.get(token, f"{token!r} is not part of expressions."))
        if kind != "space":
            self.prefixes = self.prefixes if token in ("-", "+", "not") else 0
            self.last = kind if kind == "text" else token
        self.position += len(token)
        if self.prefixes > MAX_DEPTH:
            self._too_deep()

    def finish(self) -> Scan:
        if self.brackets:
            bracket, at = self.brackets[-1]
            self.fail(f"The '{bracket}' is never closed: add a '{_CLOSING[bracket]}'.", at)
        return Scan(
            source=self.source, offset=self.offset, code="".join(self.parts), texts=self.texts, members=self.members
        )

    def fail(self, reason: str, position: int | None = None) -> NoReturn:
        raise ExpressionSyntaxError(
            reason, source=self.source, position=self.position if position is None else position
        )

    def _refuse_character(self) -> NoReturn:
        character = self.source[self.position]
        self.fail(
            f"The character {character!r} (U+{ord(character):04X}) is not part of expressions: names are ASCII, "
            "and other characters stand in texts only."
        )

    def _too_deep(self) -> NoReturn:
        reason = f"The expression is nested deeper than {MAX_DEPTH} levels: compute parts of it in nodes before."
        raise TooLarge(reason, source=self.source, position=self.position)

    def _text(self, token: str) -> None:
        if self.last == "text":
            self.fail("Two texts stand side by side: put a '+' between them.")
        is_raw = token[0] in "rR"
        body = token[2:-1] if token[0] in "rRuU" else token[1:-1]
        text = body if is_raw or "\\" not in body else _ESCAPE.sub(self._unescape, body)
        if _UNSTORABLE.search(text):
            self.fail("The text holds U+0000 or a lone surrogate, which no text may have: remove the escape.")
        self.texts[self.position - self.offset] = text
        self.parts.append(("r" if is_raw else "u" if token[0] in "uU" else "") + '"' + "x" * len(body) + '"')

    def _unescape(self, match: re.Match[str]) -> str:
        escape = match[0][1:]
        if escape in _ESCAPES:
            return _ESCAPES[escape]
        if escape[0] in "01234567":
            return chr(int(escape, 8))
        if escape[0] not in "xuUN":
            # As in Python: a backslash that means nothing stays, so that "\d" is a pattern.
            return match[0]
        if len(escape) == 1 or int(escape[1:], 16) > 0x10FFFF:
            self.fail(f"The escape \\{escape} in the text is not complete, or names no character: correct it.")
        return chr(int(escape[1:], 16))

    def _name(self, token: str) -> None:
        if token.startswith("__"):
            advice = f'["{token}"]' if self.last == "." else "another name"
            self.fail(f"{token!r}: names that begin with two underscores are not part of expressions: use {advice}.")
        if self.last == ".":
            if keyword.iskeyword(token):
                self.members[self.position - self.offset] = token
                token = "k" * len(token)
        elif keyword.iskeyword(token) and token not in _KEYWORDS:
            self.fail(_ADVICE.get(token, f"{token!r} is a reserved word: it is not part of expressions."))
        self.parts.append(token)

    def _number(self, token: str) -> None:
        following = self.source[self.position + len(token) : self.position + len(token) + 1]
        if following.isalnum() or following in ("_", "."):
            self.fail(f"The number {token}{following}... is not written correctly.")
        self.parts.append(token)

    def _sign(self, token: str) -> None:
        if token in _CLOSING:
            self.brackets.append((token, self.position))
            if len(self.brackets) > MAX_DEPTH:
                self._too_deep()
        elif token in ")]}":
            if not self.brackets:
                self.fail(f"The '{token}' closes nothing: remove it.")
            opened, at = self.brackets.pop()
            if _CLOSING[opened] != token:
                self.fail(f"The '{opened}' at character {at + 1} is closed by '{token}': write '{_CLOSING[opened]}'.")
        self.parts.append(token)
