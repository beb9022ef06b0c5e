"""Tools and processors of other distributions, by entry point; loaded once, when the app is ready.

`pastetrader.tools` names modules whose `@tool`s register, `pastetrader.processors` classes that take the place of a
node type's processor. One that is broken stops nothing: its tools are missing, nodes of its type are refused, and
`manage.py check` says why.
"""

import inspect
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn, cast

from workflows_app.dag.types import NodeType
from workflows_app.dag.wording import listed, quoted
from workflows_app.processors import registry as processors
from workflows_app.processors.base import NodeCall, Prepared, Processor, Unchecked
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.tools.registry import Registry, registry

TOOLS, PROCESSORS = "pastetrader.tools", "pastetrader.processors"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with an entry point, in a sentence that names its distribution."""

    group: str
    sentence: str


# Of the plug-ins of this process.
problems: list[Problem] = []


class RefusingProcessor(Unchecked):
    """Stands where a processor should that cannot: nothing else does the work of its nodes in its stead."""

    def __init__(self, why: str) -> None:
        self._why = why

    def pre_process(self, call: NodeCall) -> Prepared:
        """Raises `NodeConfigurationError`."""
        self._refuse(call)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises `NodeConfigurationError`."""
        del prepared
        self._refuse(call)

    def _refuse(self, call: NodeCall) -> NoReturn:
        raise NodeConfigurationError(
            f"Nodes of type '{call.node.type}' cannot run: {self._why} Mend the plug-in, or remove it."
        )


def load() -> None:
    """Load what is installed. Never raises; `problems` are those of this call."""
    problems[:] = [*load_tools(registry), *load_processors()]
    for problem in problems:
        logger.error("%s", problem.sentence)


def load_tools(tools: Registry) -> Iterator[Problem]:
    """Import the modules. One that cannot be imported whole has registered nothing."""
    for entry in _entries(TOOLS):
        try:
            with tools.whole():
                entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise whatever it likes
            yield Problem(group=TOOLS, sentence=f"The tools of {_origin(entry)} are missing: {_told(error)}")


def load_processors() -> Iterator[Problem]:
    """Put the processors into their places."""
    given: dict[NodeType, list[EntryPoint]] = {}
    for entry in _entries(PROCESSORS):
        with suppress(ValueError):
            given.setdefault(NodeType(entry.name), []).append(entry)
            continue
        known = listed(map(quoted, NodeType))
        sentence = f"The processor of {_origin(entry)} is for no type of nodes: call its entry point {known}."
        yield Problem(group=PROCESSORS, sentence=sentence)
    for kind, entries in given.items():
        try:
            processors.replace(kind, _processor(entries))
        except _Unfit as unfit:
            processors.replace(kind, RefusingProcessor(str(unfit)))
            yield Problem(group=PROCESSORS, sentence=str(unfit))


class _Unfit(Exception):
    """Raised where a type of nodes gets no processor; a whole sentence."""


def _processor(entries: list[EntryPoint]) -> Processor:
    """Raises `_Unfit`."""
    entry, *others = entries
    if others:
        origins = listed(map(_origin, entries), "and")
        raise _Unfit(f"'{entry.name}' nodes have more than one processor, {origins}: uninstall all but one.")
    try:
        found: object = entry.load()
        processor = found() if isinstance(found, type) else None
    except (Exception, SystemExit) as error:
        raise _Unfit(f"The processor of {_origin(entry)} is missing: {_told(error)}") from error
    steps = [getattr(processor, name, None) for name in ("pre_process", "process", "post_process")]
    if all(map(callable, steps)) and inspect.iscoroutinefunction(steps[1]):
        return cast(Processor, processor)
    raise _Unfit(
        f"The processor of {_origin(entry)} is no class of processors: "
        + "name one with the methods `pre_process`, `post_process` and the async `process`."
    )


def _entries(group: str) -> list[EntryPoint]:
    """In an order that does not depend on the disk."""
    return sorted(entry_points(group=group), key=lambda entry: (entry.name, _origin(entry)))


def _origin(entry: EntryPoint) -> str:
    distribution = "a distribution without a name" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    return f"{distribution} ({entry.name} = {entry.value})"


def _told(error: BaseException) -> str:
    return f"loading it failed with {type(error).__name__}: {str(error)[:500].rstrip('.')}."
