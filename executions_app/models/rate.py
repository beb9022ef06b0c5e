"""What is left of the rates of tools: a bucket of calls for each, from which all processes of a site take.

A bucket fills with time, up to what may be called at once. Whoever takes calls makes them now: nobody holds any, so
nobody can die with them. How fast it fills and how much it holds says whoever asks, so that another rate is in force
with the next question. The database's clock decides, and the row's lock who comes first.
"""

from __future__ import annotations

from typing import NamedTuple, override

from django.db import connection, models

from workflows_app.tools.rates import Rate

# Where several ask for the same calls, most of them in vain: how their number is guessed, for all of them to see.
# Such that about every second question is in vain.
_IN_VAIN, _ANSWERED, _MOST = 1.25, 0.8, 64


class ToolRate(models.Model):
    """The bucket of one tool. A tool without a row has a full one."""

    tool: models.CharField[str, str] = models.CharField(max_length=200, primary_key=True)
    # Calls that were left, and when; in seconds since 1970.
    tokens: models.FloatField[float, float] = models.FloatField()
    at: models.FloatField[float, float] = models.FloatField()
    # What the last one who asked was given.
    granted: models.IntegerField[int, int] = models.IntegerField()
    # About how many processes ask at the same time.
    crowd: models.FloatField[float, float] = models.FloatField()

    @override
    def __str__(self) -> str:
        return self.tool


class Grant(NamedTuple):
    """So many calls may be made now; `left` of the next ones is there, and about `crowd` processes want them."""

    granted: int
    left: float
    crowd: float


_REAL = "CAST(%s AS double precision)"
TAKE = f"""
    INSERT INTO {ToolRate._meta.db_table} AS held (tool, tokens, at, granted, crowd)
    VALUES (%s, {_REAL}, {{now}}, %s, 1)
    ON CONFLICT (tool) DO UPDATE SET (tokens, at, granted, crowd) = (
        SELECT level - given, moment, given, CASE
            WHEN given < 0 THEN held.crowd
            WHEN given = 0 THEN {{least}}({_MOST}, held.crowd * {_IN_VAIN})
            WHEN level >= capacity THEN 1
            ELSE {{greatest}}(1, held.crowd * {_ANSWERED}) END
        FROM (
            SELECT level, capacity, moment, {{least}}(CAST(%s AS integer), {{floor}}) AS given
            FROM (
                SELECT {{least}}(capacity, held.tokens + {{greatest}}(0, moment - held.at) * per_second) AS level,
                    capacity, moment
                FROM (SELECT {{now}} AS moment, {_REAL} AS capacity, {_REAL} AS per_second) AS asked) AS filled
            ) AS shared)
    RETURNING granted, tokens, crowd"""

# The clock is read once, when the row is locked already. Both are seconds since 1970.
_POSTGRESQL = TAKE.format(
    now="CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)",
    least="LEAST", greatest="GREATEST", floor="FLOOR(level)",
)  # fmt: skip
_SQLITE = TAKE.format(
    now="((julianday('now') - 2440587.5) * 86400.0)", least="MIN", greatest="MAX", floor="CAST(level AS integer)",
)  # fmt: skip


def take(tool: str, rate: Rate, wanted: int) -> Grant:
    """Take as many calls of a tool as there are, up to so many; fewer than 0 are given back."""
    capacity = rate.capacity
    first = max(0, min(wanted, int(capacity)))
    values = (tool, capacity - first, first, wanted, capacity, rate.per_second)
    with connection.cursor() as cursor:
        cursor.execute(_SQLITE if connection.vendor == "sqlite" else _POSTGRESQL, values)
        return Grant(*cursor.fetchone())
