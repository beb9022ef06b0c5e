"""A simulation of many workers from what one of them was seen to take, and its check against what two and four did.

What is modelled: a worker has one core, on which its engine and its recorder take turns; the recorder has one batch
under way, and everything that waits goes in the next one; the database has some cores, and one log, whose flush takes
along whoever waits for it. What is not: contention for locks and caches in the database, and the network, for which
each transaction of another host pays a delay.
"""

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.workloads import Workload, workload

type Act = Callable[[], None]

CONCURRENCY = 32
# A transaction has about so many round trips, of half a millisecond each, to a database on another host.
ROUND_TRIPS_SECONDS = 6 * 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of processor time, and of a flush of the log."""

    worker_node: float
    worker_commit: float
    database_node: float
    database_commit: float
    flush: float
    # What a worker that has nothing to do takes of the database in a second.
    database_idle: float

    def slower(self, times: float) -> "Costs":
        """On cores of which others take a part."""
        return replace(
            self,
            worker_node=self.worker_node * times,
            worker_commit=self.worker_commit * times,
            database_node=self.database_node * times,
            database_commit=self.database_commit * times,
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    workers: int
    places: int
    seconds: float
    executions: int
    nodes: int
    commits: int
    flushes: int
    worker_busy: float
    database_busy: float

    @property
    def rate(self) -> float:
        return self.executions / self.seconds


def costs_of(figures: Mapping[str, Any]) -> Costs:
    """The two costs of each side that fit best what one worker took, with runs one by one and with many at a time."""
    seen = [figures["alone"], *(cell for cell in _inline(figures) if cell["workers"] == 1)]
    lines: list[tuple[float, float, float, float]] = []
    for cell in seen:
        used = median_of(cell["used"], len(cell["used"]))
        # With the trigger.
        nodes = cell["executions"] * (cell["nodes"] + 1)
        lines.append((nodes, used["commits"], used["workers"], used["postgresql"]))
    worker_node, worker_commit = _fit([(nodes, commits, took) for nodes, commits, took, _ in lines])
    database_node, database_commit = _fit([(nodes, commits, took) for nodes, commits, _, took in lines])
    single = figures["commits"][0]
    return Costs(
        worker_node=worker_node,
        worker_commit=worker_commit,
        database_node=database_node,
        database_commit=database_commit,
        flush=max(0.0, 1 / single["commits_a_second"] - single["postgresql_cpu_us"] / 1e6),
        database_idle=figures["idle"]["inline"]["postgresql_cpu_ms"] / 1000,
    )


def median_of(used: Sequence[Mapping[str, float]], count: int) -> dict[str, float]:
    """Of each count the middle of the rounds."""
    return {name: sorted(one[name] for one in used)[count // 2] for name in used[0]}


def _inline(figures: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [cell for cell in figures["cells"] if cell["dispatch"] == "inline"]


def _fit(lines: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """`x`, `y` of least squares for `(a x + b y) / c = 1`: relative errors count the same."""
    aa = sum((a / c) ** 2 for a, _, c in lines)
    ab = sum(a * b / c**2 for a, b, c in lines)
    bb = sum((b / c) ** 2 for _, b, c in lines)
    ac, bc = sum(a / c for a, _, c in lines), sum(b / c for _, b, c in lines)
    determinant = aa * bb - ab * ab
    return (ac * bb - bc * ab) / determinant, (bc * aa - ac * ab) / determinant


class _Time:
    def __init__(self) -> None:
        self.now = 0.0
        self._acts: list[tuple[float, int, Act]] = []
        self._count = 0

    def after(self, seconds: float, act: Act) -> None:
        self._count += 1
        heapq.heappush(self._acts, (self.now + seconds, self._count, act))

    def run(self) -> None:
        while self._acts:
            self.now, _, act = heapq.heappop(self._acts)
            act()


class _Cores:
    """So many at a time; who comes first is served first."""

    def __init__(self, time: _Time, count: int) -> None:
        self._time = time
        self._free = count
        self._waiting: deque[tuple[float, Act]] = deque()
        self.busy = 0.0

    def use(self, seconds: float, then: Act) -> None:
        if not self._free:
            self._waiting.append((seconds, then))
            return
        self._free -= 1
        self._begin(seconds, then)

    def _begin(self, seconds: float, then: Act) -> None:
        self.busy += seconds
        self._time.after(seconds, lambda: self._end(then))

    def _end(self, then: Act) -> None:
        if self._waiting:
            self._begin(*self._waiting.popleft())
        else:
            self._free += 1
        then()


class _Log:
    """One flush at a time, for all who wait."""

    def __init__(self, time: _Time, seconds: float) -> None:
        self._time = time
        self._seconds = seconds
        self._waiting: list[Act] = []
        self._busy = False
        self.flushes = 0

    def flush(self, then: Act) -> None:
        self._waiting.append(then)
        if not self._busy:
            self._begin()

    def _begin(self) -> None:
        served, self._waiting, self._busy = self._waiting, [], True
        self.flushes += 1
        self._time.after(self._seconds, lambda: self._end(served))

    def _end(self, served: Sequence[Act]) -> None:
        self._busy = False
        for then in served:
            then()
        if self._waiting and not self._busy:
            self._begin()


@dataclass(slots=True, kw_only=True)
class _World:
    time: _Time
    costs: Costs
    # By level, the seconds that each node sleeps.
    levels: Sequence[Sequence[float]]
    database: _Cores
    log: _Log
    delay: float
    pending: int
    ended: int = 0
    commits: int = 0
    last: float = 0.0


@dataclass(eq=False)
class _Worker:
    world: _World
    cores: _Cores
    free: int
    computing: deque[tuple[float, Act]] = field(default_factory=deque[tuple[float, Act]])
    is_computing: bool = False
    # What the next batch takes: nodes, and whom to tell.
    rows: float = 0.0
    waiting: list[Act] = field(default_factory=list[Act])
    wants: bool = False
    is_recording: bool = False

    def compute(self, seconds: float, then: Act) -> None:
        self.computing.append((seconds, then))
        if not self.is_computing:
            self._next()

    def _next(self) -> None:
        self.is_computing = bool(self.computing)
        if self.computing:
            seconds, then = self.computing.popleft()
            self.cores.use(seconds, lambda: self._done(then))

    def _done(self, then: Act) -> None:
        then()
        self._next()

    def look(self) -> None:
        """Claim what it can, as soon as the recorder is free."""
        if self.free and self.world.pending and not self.wants:
            self.wants = True
            self._record()

    def submit(self, rows: float, then: Act) -> None:
        self.rows += rows
        self.waiting.append(then)
        self._record()

    def _record(self) -> None:
        if self.is_recording or not (self.wants or self.waiting):
            return
        self.is_recording = True
        if self.waiting:
            rows, then, self.rows, self.waiting = self.rows, self.waiting, 0.0, []
            self._transaction(rows, lambda: [act() for act in then])
        else:
            self.wants = False
            count = min(self.free, self.world.pending)
            self.world.pending -= count
            self.free -= count
            self._transaction(0.0, lambda: [self._level(0) for _ in range(count)])

    def _transaction(self, rows: float, then: Act) -> None:
        world, costs = self.world, self.world.costs
        world.commits += 1

        def work() -> None:
            world.database.use(costs.database_commit + costs.database_node * rows, lambda: world.log.flush(end))

        def end() -> None:
            world.time.after(world.delay, ended)

        def ended() -> None:
            # Still busy: of those that end together one claim takes the places.
            then()
            self.is_recording = False
            self._record()

        self.compute(costs.worker_commit, work)

    def _level(self, number: int) -> None:
        if number == len(self.world.levels):
            self.submit(0.0, self._end)
            return
        left = len(self.world.levels[number])

        def recorded() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._level(number + 1)

        for seconds in self.world.levels[number]:
            self.compute(self.world.costs.worker_node, lambda seconds=seconds: self._sleep(seconds, recorded))

    def _sleep(self, seconds: float, then: Act) -> None:
        if not seconds:
            self.submit(1.0, then)
            return
        # Its start is written with whatever comes next.
        self.submit(0.5, lambda: None)
        self.world.time.after(seconds, lambda: self.submit(0.5, then))

    def _end(self) -> None:
        self.free += 1
        self.world.ended += 1
        self.world.last = self.world.time.now
        self.look()


def levels_of(work: Workload) -> list[list[float]]:
    depth: dict[str, int] = {}
    levels: list[list[float]] = [[0.0]]
    for node in work.nodes:
        depth[node.key] = 1 + max((depth[source] for source in node.sources), default=0)
        if depth[node.key] == len(levels):
            levels.append([])
        levels[depth[node.key]].append(node.sleep_ms / 1000)
    return levels


def simulate(
    costs: Costs,
    name: str,
    workers: int,
    executions: int,
    *,
    cores: int,
    apart: bool,
    places: int = CONCURRENCY,
) -> Outcome:
    """So many executions at once.

    `apart`: each worker has a core, and the database has `cores`; else all share them.
    `places`: runs at a time of each worker.
    """
    time = _Time()
    work = workload(name)
    shared = _Cores(time, cores)
    world = _World(
        time=time,
        costs=costs,
        levels=levels_of(work),
        database=shared,
        log=_Log(time, costs.flush),
        delay=ROUND_TRIPS_SECONDS if apart else 0.0,
        pending=executions,
    )
    hosts = [_Cores(time, 1) if apart else shared for _ in range(workers)]
    fleet = [_Worker(world, host, places) for host in hosts]
    for worker in fleet:
        worker.look()
    time.run()
    return Outcome(
        workers=workers,
        places=places,
        seconds=world.last,
        executions=executions,
        nodes=executions * len(work.nodes),
        commits=world.commits,
        flushes=world.log.flushes,
        worker_busy=world.commits * costs.worker_commit + executions * (len(work.nodes) + 1) * costs.worker_node,
        database_busy=world.commits * costs.database_commit + executions * (len(work.nodes) + 1) * costs.database_node,
    )
