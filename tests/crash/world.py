"""A database, a ledger and the processes that work on them; and what must hold when they have done their worst."""

import json
import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests import databases
from tests.crash import processes
from tests.eventually import eventually

EXECUTIONS = "executions_app_workflowexecution"
NODES = "executions_app_nodeexecution"
ATTEMPTS = "executions_app_nodeattempt"
LOGS = "executions_app_executionlog"
OVER = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Place:
    """What a process has to know; sent to it."""

    url: str
    folder: Path
    full: Path | None = None
    # What PASTETRADER says otherwise.
    settings: dict = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"


@dataclass
class World:
    place: Place
    running: list = field(default_factory=list)

    def worker(self, *queues, concurrency=8, without_fence=False, without_rates=False, apart=False):
        without = [word for word, left_out in (("fence", without_fence), ("rates", without_rates)) if left_out]
        return self.fork(processes.serve, concurrency, queues, without, apart)

    def command(self, *arguments, strikes=""):
        return self.fork(processes.command, strikes, [str(argument) for argument in arguments])

    def finished(self, *arguments, strikes=""):
        """The exit code of a command, and what it printed."""
        process = self.command(*arguments, strikes=strikes)
        process.join(60)
        return process.exitcode, self.output(process)

    def accept(self, name, count, *, key=None, pause=0.0):
        return self.fork(processes.accept, name, count, key, pause)

    def output(self, process):
        """What it printed so far."""
        return (self.place.folder / process.name).read_text()

    def fork(self, target, *arguments):
        """A process that does this in this place."""
        output = self.place.folder / f"output-{len(self.running)}"
        arguments = (self.place, output, *arguments)
        output.touch()
        process = processes.FORKS.Process(target=target, args=arguments, name=output.name, daemon=True)
        process.start()
        self.running.append(process)
        return process

    def rows(self, query):
        return databases.rows(self.place.url, query)

    def statuses(self):
        return Counter(status for (status,) in self.rows(f"SELECT status FROM {EXECUTIONS}"))

    def all_over(self, count, seconds=60):
        """Wait until so many executions have ended; where they do not, some are stuck or lost."""

        def over():
            with suppress(Exception):
                found = self.statuses()
                return sum(found.values()) >= count and set(found) <= set(OVER)

        eventually(over, seconds=seconds)

    def end(self):
        for process in self.running:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join(10)

    # What must hold.

    def ledger(self):
        with suppress(FileNotFoundError):
            return [json.loads(line) for line in self.place.ledger.read_text().splitlines()]
        return []

    def verdict(self):
        """Counts of what must not be; empty where all is well."""
        lines = self.ledger()
        code, out = self.finished("engine_fsck")
        counted = {
            "attempts with two effects": _more_than_once(line["attempt"] for line in lines),
            "at_most_once run twice": _more_than_once(
                (line["execution"], line["node"]) for line in lines if line["effect"] == "at_most_once"
            ),
            "attempts after the end of their node": len(
                self.rows(
                    f"SELECT 1 FROM {ATTEMPTS} a JOIN {NODES} n ON n.execution_id = a.execution_id "
                    'AND n."order" = a."order" WHERE a.started_at > n.ended_at'
                )
            ),
            "stale writes accepted": self.stale_writes(),
            "keys that changed": sum(
                count > 1
                for count in Counter(
                    (execution, node) for execution, node, _ in {(x["execution"], x["node"], x["key"]) for x in lines}
                ).values()
            ),
        }
        found = {what: count for what, count in counted.items() if count}
        if code:
            found["fsck"] = out
        return found

    def stale_writes(self):
        """Attempts that an engine began or ended after another one had taken the execution."""
        taken = {}
        recoveries = f"SELECT execution_id, data, at FROM {LOGS} WHERE event = 'execution.recovered'"
        for execution, data, at in self.rows(recoveries):
            taken.setdefault(execution, []).append((json.loads(data)["fence"], moment(at)))
        count = 0
        for execution, fence, outcome, began, ended in self.rows(
            f"SELECT execution_id, fence, outcome, started_at, ended_at FROM {ATTEMPTS}"
        ):
            for later, at in taken.get(execution, ()):
                late = moment(began) > at or (outcome != "abandoned" and ended is not None and moment(ended) > at)
                if later > fence and late:
                    count += 1
                    break
        return count


def moment(value):
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _more_than_once(values):
    return sum(count > 1 for count in Counter(values).values())
