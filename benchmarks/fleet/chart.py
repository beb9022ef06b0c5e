"""A picture of executions a second by workers, as SVG: both axes logarithmic, a line for each size of the database."""

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 32, 50
COLOURS = ("#b45309", "#2563eb", "#15803d")
# Readable on white and on black.
TEXT, GRID = "#64748b", "#94a3b8"


def picture(lines: Mapping[int, Sequence[tuple[int, float]]]) -> str:
    """By the cores of the database, points of workers and executions a second."""
    points = [point for line in lines.values() for point in line]
    most_workers = max(workers for workers, _ in points)
    least, most = min(rate for _, rate in points), max(rate for _, rate in points)
    low, high = 10 ** math.floor(math.log10(least)), 10 ** math.ceil(math.log10(most))

    def x(workers: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(workers) / math.log10(most_workers)

    def y(rate: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log10(rate / low) / math.log10(high / low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13" role="img"><title>Executions a second by workers, for databases of '
        f"{', '.join(map(str, lines))} cores</title>"
    ]
    for workers in (1, 2, 5, 10, 20, 50, 100):
        parts += [_line(x(workers), TOP, x(workers), HEIGHT - BOTTOM), _text(x(workers), HEIGHT - BOTTOM + 18, workers)]
    rate = low
    while rate <= high:
        parts += [_line(LEFT, y(rate), WIDTH - RIGHT, y(rate)), _text(LEFT - 8, y(rate) + 4, rate, anchor="end")]
        rate *= 10
    parts += [
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "workers"),
        _text(LEFT - 60, TOP - 14, "executions/s", anchor="start"),
    ]
    place = 0.0
    for colour, (cores, line) in zip(COLOURS, sorted(lines.items(), reverse=True), strict=True):
        path = " ".join(f"{x(workers):.1f},{y(rate):.1f}" for workers, rate in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        # Labels of lines that end together stand below each other.
        place = max(place + 16, y(line[-1][1]) + 4)
        parts.append(_text(WIDTH - RIGHT + 8, place, f"database of {cores} cores", anchor="start", fill=colour))
    return "\n".join([*parts, "</svg>", ""])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{GRID}" stroke-opacity="0.4"/>'


def _text(x: float, y: float, text: object, *, anchor: str = "middle", fill: str = TEXT) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{text}</text>'
