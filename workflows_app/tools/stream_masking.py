"""Secrets in a text that comes in pieces: one that is cut in two by them is hidden like any other."""

import re

from workflows_app.tools.masking import Mask

# The letters at the ends of a value in base64 are shared with its neighbours; padding has spellings of its own.
_MARGIN = 64
_LAST_SPACE = re.compile(r"\s(?=\S*\Z)")


class MaskedStream:
    """Takes pieces and gives the text with `***` for every secret, as far as no secret can still be under way in it."""

    __slots__ = ("_held", "_mask")

    def __init__(self, mask: Mask | None) -> None:
        self._mask = mask
        self._held = ""

    def take(self, piece: str) -> str:
        """What may be shown now; the rest is held back."""
        if self._mask is None or self._mask.is_empty:
            return piece
        text = self._held + piece
        cut = len(text) - self._mask.reach - _MARGIN
        # Words can be shown as they come: a secret without white space has none in any spelling.
        if not self._mask.has_space and (space := _LAST_SPACE.search(text)) is not None:
            cut = max(cut, space.end())
        if cut <= 0:
            self._held = text
            return ""
        front, rest = self._mask.text(text[:cut]), self._mask.text(text[cut:])
        if front + rest != self._mask.text(text):
            # The cut is inside of a secret: there will be another one behind it.
            self._held = text
            return ""
        self._held = text[cut:]
        return front

    def end(self) -> str:
        """What was held back."""
        text, self._held = self._held, ""
        return text if self._mask is None else self._mask.text(text)
