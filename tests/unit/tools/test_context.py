"""What tools have of their attempt: progress at its pace, and synchronous functions from async code."""

import asyncio
import threading
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.eventually import eventually
from workflows_app.tools import threads
from workflows_app.tools.context import Pace


@pytest.mark.parametrize(
    ("fraction", "text", "line"),
    [
        (0.4, "Loading", ("debug", "Loading", {"progress": Decimal("0.4")})),
        (Decimal("0.25"), "", ("debug", "25%", {"progress": Decimal("0.25")})),
        (Fraction(1, 3), "", ("debug", "33%", {"progress": Decimal("0.3333")})),
        (0, "Begun", ("debug", "Begun", {"progress": 0})),
        (1, "", ("debug", "100%", {"progress": 1})),
        (1.7, "More than was thought", ("debug", "More than was thought", {"progress": 1})),
        (-1, "", ("debug", "0%", {"progress": 0})),
        (float("inf"), "", ("debug", "100%", {"progress": 1})),
    ],
)
def test_progress_is_a_line_of_the_journal_with_the_part_that_is_done(context, lines, fraction, text, line):
    context.progress(fraction, text)
    assert lines == [line]


def test_a_progress_that_is_no_number_is_refused(context, lines):
    with pytest.raises(ValueError, match="The progress is no number"):
        context.progress(float("nan"))
    assert lines == []


def test_what_a_tool_says_of_its_progress_is_cut_off_somewhere(context, lines):
    context.progress(0.5, "x" * 100_000)
    assert len(lines[0][1]) == 500


def test_progress_is_told_once_a_second_and_its_end_at_once_but_not_again_and_again(context, lines):
    now = [0.0]
    context = replace(context, beat=Pace(lambda: now[0]))
    for tenth in range(25):
        now[0] = tenth / 10
        context.progress(tenth / 100)
    now[0] = 2.41
    for _ in range(100):
        context.progress(1)
    assert [line[2]["progress"] for line in lines] == [0, Decimal("0.1"), Decimal("0.2"), 1]


async def test_a_synchronous_function_is_called_in_a_thread_with_its_arguments(context):
    def function(a, *, b):
        return a, b, threading.current_thread()

    a, b, thread = await context.call_sync(function, 1, b=2)
    assert (a, b) == (1, 2)
    assert thread is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await context.call_sync(divmod, 1, 0)


async def interrupted_call(context, function):
    told = []
    context = replace(context, interrupted=lambda *what: told.append(what))
    call = asyncio.create_task(context.call_sync(function))
    await asyncio.sleep(0)
    return told, call


async def test_a_cancel_ends_the_waiting_and_the_function_goes_on(context):
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def function():
        began.set()
        go_on.wait(30)
        ended.set()

    told, call = await interrupted_call(context, function)
    await asyncio.to_thread(began.wait, 30)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [remains for _, remains in told] == ["goes on"]
    go_on.set()
    eventually(ended.is_set)


async def test_a_function_that_never_began_is_no_proof_that_its_tool_did_nothing(context, monkeypatch):
    monkeypatch.setattr(threads, "pool", threads.ThreadPool(1))
    go_on = threading.Event()
    _, first = await interrupted_call(context, lambda: go_on.wait(30))
    told, second = await interrupted_call(context, lambda: pytest.fail("It was cancelled before."))
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    assert [remains for _, remains in told] == ["stopped"]
