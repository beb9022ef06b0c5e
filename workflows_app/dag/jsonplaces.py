"""Where the values of a JSON text stand, for people who look for what a sentence is about."""

import re
from collections.abc import Callable, Sequence
from typing import cast

from workflows_app.dag.jsontext import loads

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
# Lines are for people, and nobody writes so much by hand.
_LONGEST_TO_READ = 1024 * 1024


class _Place:
    """Where a container begins, and its items; a scalar's place is its line alone."""

    __slots__ = ("items", "line")

    def __init__(self, line: int) -> None:
        self.line = line
        self.items: dict[str | int, _Place | int] = {}


def line_finder(text: str) -> Callable[[Sequence[str | int]], int | None]:
    """Finds the line, from 1, of the value at a path in a JSON text, or of its nearest parent.

    The text is read when the first line is asked for, once for all of them. None in text that is too long for people.
    """
    root: list[_Place | int] = []

    def line_of(path: Sequence[str | int]) -> int | None:
        if len(text) > _LONGEST_TO_READ:
            return None
        if not root:
            root.append(_places(text) if "\n" in text else 1)
        place = root[0]
        for step in path:
            if isinstance(place, int) or step not in place.items:
                break
            place = place.items[step]
        return place if isinstance(place, int) else place.line

    return line_of


def _places(text: str) -> _Place | int:
    """The places of all values of a text that is JSON."""
    line, counted = 1, 0
    document = _Place(0)
    # The open containers, and whether each is an object.
    stack: list[tuple[_Place, bool]] = [(document, False)]
    key, expects_key = "", False
    for token in _TOKEN.finditer(text):
        mark = token[0]
        around, is_object = stack[-1]
        if mark == ":":
            continue
        if mark == ",":
            expects_key = is_object
        elif mark in "}]":
            _ = stack.pop()
            expects_key = False
        elif expects_key:
            key, expects_key = cast(str, loads(mark)), False
        else:
            line += text.count("\n", counted, token.start())
            counted = token.start()
            place = _Place(line) if mark in "{[" else line
            around.items[key if is_object else len(around.items)] = place
            if isinstance(place, _Place):
                expects_key = mark == "{"
                stack.append((place, expects_key))
    return document.items[0]
