"""The attempts of a run's nodes: `pre_process`, the record of the start, `process`, `post_process`, and what they took.

Here, and nowhere else, are a node's secrets: they come in before its input is rendered, and whatever leaves the
processor's code, its result, its errors, what it writes to the journal, has `***` in their place.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import cast

import msgspec

from executions_app.engine.attempt import (
    Attempt,
    AttemptStart,
    Cancelled,
    Failed,
    Lost,
    Outcome,
    Succeeded,
    encode,
    failure,
)
from executions_app.engine.calls import Book, Ledger
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext, NodeScope
from executions_app.engine.elsewhere import Errand, Remote, Report, queue_of
from executions_app.engine.events import AttemptMeasures, Logged, NodeAbandoned, NodeStarted
from executions_app.engine.failures import MESSAGE_LIMIT, printable
from executions_app.engine.ports import Ports, Sink
from executions_app.engine.progress import Progress
from executions_app.engine.reconciliation import ask, outcome_after
from executions_app.engine.secrecy import NO_SECRETS, Secrets, resolved, shown
from workflows_app.agents.calls import Spent, Unrecorded
from workflows_app.dag import jsontext
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import Effect, JsonObject, JsonValue, NodeType
from workflows_app.processors.base import NodeCall, Prepared, Processor, Reconciler
from workflows_app.processors.errors import NodeOutputError
from workflows_app.tools.context import ToolContext
from workflows_app.tools.reconciling import NotDone, Unknown, Verdict

LOG_LEVELS = ("debug", "info", "warning", "error")


def size(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


class Stopwatch:
    """When the steps of an attempt ended, and how many bytes went in and came out."""

    __slots__ = ("_began", "_loop", "bytes_in", "bytes_out", "prepared_at", "processed_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began = loop.time()
        self.prepared_at: float | None = None
        self.processed_at: float | None = None
        self.bytes_in: int | None = None
        self.bytes_out: int | None = None

    def prepared(self, text: str) -> None:
        self.bytes_in = size(text)
        self.prepared_at = self._loop.time()

    def restart(self) -> None:
        """What came between the steps is none of them."""
        now = self._loop.time()
        assert self.prepared_at is not None
        self._began += now - self.prepared_at
        self.prepared_at = now

    def processed(self) -> None:
        self.processed_at = self._loop.time()

    def measures(self) -> AttemptMeasures:
        now = self._loop.time()
        prepared, processed = self.prepared_at, self.processed_at
        return AttemptMeasures(
            pre_process=(now if prepared is None else prepared) - self._began,
            process=None if prepared is None else (now if processed is None else processed) - prepared,
            post_process=None if processed is None else now - processed,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )


class Lifecycle:
    """The attempts of one run. `under_way` are those whose processor is at work, by the node's position."""

    def __init__(
        self,
        context: ExecutionContext,
        processors: Mapping[NodeType, Processor],
        sink: Sink,
        ports: Ports,
        cancel: CancelToken,
    ) -> None:
        self.context = context
        self.processors = processors
        self.sink = sink
        self.ports = ports
        self.cancel = cancel
        self.loop = asyncio.get_running_loop()
        self.thread: int = threading.get_ident()
        self.under_way: dict[int, Attempt] = {}
        # By agents, before this engine had the run.
        self._spent: dict[int, Spent] = {}

    def restore(self, progress: Progress) -> None:
        """Go on from the record of a run that another engine began."""
        self._spent = {one.node: one.spent for one in progress.nodes if one.spent is not None}

    @cached_property
    def ledger(self) -> Ledger:
        """Of the calls of agents: most runs have none."""
        return Ledger(self.context.plan, self.sink, self.ports, self._spent)

    async def attempt(self, node: int, start: AttemptStart) -> tuple[Outcome, AttemptMeasures]:
        """One attempt, from its first step to its outcome, which is not on record yet."""
        one = _Try(self, node, start)
        try:
            return await one.run(), one.measures or one.watch.measures()
        finally:
            one.close()

    async def ask_about_crashed(self, node: int, interrupted: AttemptStart) -> Verdict:
        """What became of the attempt that was under way when the engine before this one died."""
        if self.ports.remote is not None and self.context.plan.nodes[node].runs_on:
            # Else it could do what it is not found to have done.
            await self.ports.remote.stopped(interrupted.attempt_id)
        one = _Try(self, node, interrupted)
        try:
            return await one.ask_about_it()
        finally:
            one.close()


class _Try:
    """One attempt of one node, with its secrets and the time that it takes."""

    __slots__ = (
        "_attempt", "_book", "_call", "_life", "_logging", "_node", "_position", "_processor", "_remote", "_scope",
        "_secrets", "_start", "measures", "watch",
    )  # fmt: skip

    def __init__(self, life: Lifecycle, position: int, start: AttemptStart) -> None:
        context = life.context
        node = context.plan.nodes[position]
        self._life = life
        self._position = position
        self._node: NodePlan = node
        self._processor = life.processors[node.type]
        self._start = start
        self._secrets = NO_SECRETS
        # What hides the secrets in log lines, while this lasts.
        self._logging: ExitStack | None = None
        self.watch = Stopwatch(life.loop)
        # Of another process that ran it.
        self.measures: AttemptMeasures | None = None
        # The others, where one of them is to run it.
        self._remote: Remote | None = _remote(node, life.ports)
        self._attempt = Attempt(node, grace=life.ports.limits.grace, finish=self._finish)
        self._scope = NodeScope(context, position, start.first_at)
        self._book = self._new_book() if node.type is NodeType.AGENT else None
        self._call = NodeCall(
            node=node,
            attempt=ToolContext(
                execution_id=context.execution_id,
                node=node.key,
                attempt_id=start.attempt_id,
                idempotency_key=f"{context.execution_id}:{node.key}",
                number=start.number,
                deadline=self._deadline(),
                journal=self._log,
                interrupted=self._attempt.interrupted,
                beat=self._attempt.beat,
            ),
            scope=self._scope,
            execution_input=lambda: context.input,
            merged_input=lambda: context.merged_input(position),
            contributions=lambda: context.contributions(position),
            started_at=start.first_at,
            calls=self._book or Unrecorded(),
        )

    def _new_book(self) -> Book:
        return Book(
            self._life.ledger,
            self._position,
            key=self._node.key,
            attempt_id=self._start.attempt_id,
            secrets=lambda: self._secrets,
        )

    async def run(self) -> Outcome:
        prepared, text, failed = Prepared(input=None), "", None
        try:
            prepared = await self._pre_process()
            text = jsontext.dumps(self._shown(prepared))
            if prepared.problem is not None:
                failed = failure(prepared.problem, self._node, self._secrets.mask)
        except Exception as error:  # noqa: BLE001 - expressions and foreign schemas may raise anything
            failed = failure(error, self._node, self._secrets.mask)
        if failed is None:
            self.watch.prepared(text)
        started = NodeStarted(
            node=self._position,
            at=self._start.at,
            attempt_id=self._start.attempt_id,
            number=self._start.number,
            retry_count=self._start.retry_count,
            started_at=self._start.first_at,
            input=text,
        )
        if failed is not None or (self._node.effect is Effect.NONE and self._remote is None):
            self._life.sink.post(started)
        else:
            # Whoever recovers this run must know that the effect may have happened, and who runs it must find it.
            await self._life.sink.commit([started])
            # The record took its time, which is not the tool's.
            self.watch.restart()
            self._allow_all_time()
        if failed is not None:
            return failed
        if self._life.cancel.requested:
            return Cancelled()
        return await self._process(prepared)

    async def ask_about_it(self) -> Verdict:
        try:
            prepared = await self._pre_process()
        except Exception as error:  # noqa: BLE001 - as in run
            return Unknown(f"Its inputs cannot be rendered: {self._secrets.text(str(error))}")
        return await self._ask(prepared)

    async def _pre_process(self) -> Prepared:
        if self._node.secrets:
            self._know(await resolved(self._node, self._life.ports, deadline=self._call.attempt.deadline))
        return self._processor.pre_process(self._call)

    def _shown(self, prepared: Prepared) -> JsonValue:
        """The input as it goes on record."""
        if self._secrets is NO_SECRETS:
            return prepared.input
        secrets, harmless = shown(self._processor, self._call, prepared, self._secrets)
        self._know(secrets)
        return harmless

    def close(self) -> None:
        if self._book is not None:
            self._book.close()
        if self._logging is not None:
            self._logging.close()

    def _know(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._logging = self._logging or ExitStack()
        _ = self._logging.enter_context(secrets.in_use())
        self._scope.secrets = secrets.values
        self._attempt.mask = secrets.mask

    async def _process(self, prepared: Prepared) -> Outcome:
        life, call = self._life, self._call
        life.under_way[self._position] = self._attempt
        try:
            code = self._processor.process(call, prepared) if self._remote is None else self._elsewhere(self._remote)
            outcome = await self._attempt.run(code, deadline=call.attempt.deadline)
        finally:
            del life.under_way[self._position]
        if isinstance(outcome, Succeeded):
            return self._within_limits(outcome)
        if isinstance(outcome, Lost):
            return msgspec.structs.replace(outcome, verdict=await self._verdict_of_lost(prepared, outcome))
        if outcome.let_go:
            now = life.ports.clock.now()
            life.sink.post(
                NodeAbandoned(node=self._position, at=now, attempt_id=call.attempt.attempt_id, why=outcome.let_go)
            )
        if isinstance(outcome, Failed) and outcome.if_not_done is not None and not life.cancel.requested:
            return outcome_after(outcome, await self._ask(prepared))
        return outcome

    def _elsewhere(self, remote: Remote) -> Coroutine[object, object, object]:
        start, attempt = self._start, self._call.attempt
        return remote.run(
            Errand(
                node=self._position,
                queue=queue_of(self._node.runs_on),
                attempt_id=start.attempt_id,
                number=start.number,
                retry_count=start.retry_count,
                first_at=start.first_at,
                seconds=max(0.0, attempt.deadline - self._life.loop.time()),
                tell=self._life.sink.post,
                interrupted=attempt.interrupted,
            )
        )

    async def _verdict_of_lost(self, prepared: Prepared, lost: Lost) -> Verdict:
        """What became of work whose process is gone."""
        if self._node.effect.is_repeatable:
            return NotDone()
        if self._node.effect is Effect.CHECKABLE and not self._life.cancel.requested:
            return await self._ask(prepared)
        return Unknown(lost.why)

    def _finish(self, result: object) -> Outcome:
        """The outcome of a result that came in time."""
        self.watch.processed()
        if isinstance(result, Report):
            self.measures = result.measures
            return result.outcome
        try:
            checked = self._processor.post_process(self._call, result)
        except Exception as error:  # noqa: BLE001 - as in run
            return failure(error, self._node, self._secrets.mask)
        outcome = self._encoded(checked)
        if isinstance(outcome, Succeeded):
            self.watch.bytes_out = size(outcome.output)
        return outcome

    def _encoded(self, value: object) -> Outcome:
        return encode(value, self._node, self._life.ports.limits.output_bytes, self._secrets.mask)

    async def _ask(self, prepared: Prepared) -> Verdict:
        """Ask the tool what became of this attempt; the asking is bounded as an attempt is."""
        life = self._life
        asking = Attempt(self._node, grace=life.ports.limits.grace, finish=self._encoded)
        asking.mask = self._secrets.mask
        life.under_way[self._position] = asking
        self._allow_all_time()
        try:
            return await ask(cast(Reconciler, self._processor), self._call, prepared, asking)
        finally:
            del life.under_way[self._position]

    def _within_limits(self, outcome: Succeeded) -> Outcome:
        limit = self._life.ports.limits.execution_bytes
        if self._life.context.output_size + len(outcome.output) <= limit:
            return outcome
        sentence = (
            f"The output of node '{self._node.key}' takes the execution over its limit of {limit} bytes. "
            "Return a reference to the data instead."
        )
        return failure(NodeOutputError(sentence), self._node)

    def _allow_all_time(self) -> None:
        self._call = replace(self._call, attempt=replace(self._call.attempt, deadline=self._deadline()))

    def _deadline(self) -> float:
        seconds = self._start.seconds
        return self._life.loop.time() + float(self._node.timeout_seconds if seconds is None else seconds)

    def _log(self, level: str, message: str, data: JsonObject | None = None) -> None:
        """Write to the journal, from the run's thread or from one in which a synchronous tool runs."""
        if level not in LOG_LEVELS:
            raise ValueError(f"'{level}' is no log level: use {', '.join(LOG_LEVELS)}.")
        life = self._life
        line = Logged(
            node=self._position,
            at=life.ports.clock.now(),
            level=level,
            # Masked before it is cut: a secret that is cut in two would be half on record.
            message=printable(self._secrets.text(message), MESSAGE_LIMIT),
            data=None if data is None else cast(JsonObject, self._secrets.value(jsontext.clean(data))),
        )
        if threading.get_ident() == life.thread:
            life.sink.post(line)
        else:
            _ = life.loop.call_soon_threadsafe(life.sink.post, line)


def _remote(node: NodePlan, ports: Ports) -> Remote | None:
    """The processes that have to run a node, where this one is none of them."""
    queue, remote = queue_of(node.runs_on), ports.remote
    return None if remote is None or not queue or remote.serves(queue) else remote
