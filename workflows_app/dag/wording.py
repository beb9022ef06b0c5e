"""How the validator speaks of values, lists of words and misspellings."""

from collections.abc import Collection, Iterable
from decimal import Decimal
from difflib import get_close_matches

type Path = tuple[str | int, ...]

_SHOWN = 60
# Beyond this many compared words a document gets no more suggestions: they must not cost more than the check.
_COMPARISONS = 200_000


def shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def quoted(text: str) -> str:
    return f"'{shortened(text)}'"


def shown(value: object) -> str:
    """A JSON value within a sentence: `the text 'soon'`, `-1`, `null`, `a list`."""
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number that is too large"
    return shortened(str(value)) if isinstance(value, int | Decimal) else f"a value of type {type(value).__name__}"


def listed(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    items = list(words)
    return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else "".join(items)


def dotted(path: Path) -> str:
    """`inputs.items[0].x`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class Spelling:
    """Finds what a misspelled word may have meant, within a budget for the whole document."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _COMPARISONS

    def closest(self, word: str, known: Collection[str]) -> str | None:
        """The closest of the known words; none where nothing is close or the budget is spent."""
        if len(word) > _SHOWN or len(known) > self._left:
            return None
        self._left -= len(known)
        folded = {candidate.casefold(): candidate for candidate in known if len(candidate) <= _SHOWN}
        matches = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
        return folded[matches[0]] if matches else None

    def hint(self, word: str, known: Collection[str]) -> str:
        """` Did you mean 'rsi'?`, with a space before it; empty where nothing is close."""
        closest = self.closest(word, known)
        return f" Did you mean {quoted(closest)}?" if closest else ""
