"""Connections to MCP servers: used by one call at a time, kept for a while, never shared by two event loops.

Each has a task of its own, which alone opens and closes it. A call that fails or is cancelled takes its connection
with it: a server that hangs is ended, and hangs for nobody else.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject
from workflows_app.dag.wording import quoted
from workflows_app.tools.errors import MissingPackage, NodeError
from workflows_app.tools.mcp.errors import McpRefused, McpSchemaChanged, McpServerFailed, McpToolError
from workflows_app.tools.mcp.listing import ServerTool, tool_of
from workflows_app.tools.mcp.servers import McpServer
from workflows_app.tools.mcp.wire import Wire
from workflows_app.tools.process_limits import processes

if TYPE_CHECKING:
    from mcp import Client

NAME = "mcp.call"
# A connection that nobody uses is closed after so many seconds; a list of tools is that old at most.
IDLE_SECONDS = LISTED_SECONDS = 60.0
# A server may take so long until it is ready, and to say goodbye.
OPEN_SECONDS, CLOSE_SECONDS = 60.0, 3.0
# The newer generation of the protocol where the server knows it, else the older one.
MODE = "auto"
# Pages of a list, and tools of a server.
_MOST_PAGES, _MOST_TOOLS = 100, 2000
# What is said of a session that the server does not know any more, or nothing at all.
_OF_A_LOST_SESSION = (0, 400, 404)
_importing, _changing = threading.Lock(), threading.Lock()


@dataclass(slots=True)
class _Package:
    is_loaded: bool = False


package = _Package()


def load() -> None:
    """Import the package. Raises `MissingPackage`. To be called in a thread: it takes a second or more."""
    with _importing:
        try:
            for module in ("mcp", "mcp.client.streamable_http", "mcp.types", "httpcore2"):
                _ = import_module(module)
        except ImportError:
            raise MissingPackage(NAME, "mcp", "mcp") from None
        for name in ("mcp.client", "client", "httpx2", "httpcore2"):
            # Their lines hold whole messages, and addresses. What goes wrong is an error of the node.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        package.is_loaded = True


# Of a server's progress: so much is done, of how much, in what words.
type Tell = Callable[[float, float | None, str | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Door:
    """Which server, and with which token."""

    server: McpServer
    token: str = field(default="", repr=False)


class Session:
    """An open connection."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.wire = Wire(processes.limits.output_bytes)
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._ready: asyncio.Future[Client] = self._loop.create_future()
        self._failure: BaseException | None = None
        self._tools: Mapping[str, ServerTool] = {}
        self._listed_at = float("-inf")
        self._owner: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        is_live = self._owner is not None and not self._owner.done() and not self._end.is_set()
        return is_live and not self.wire.trouble and not self.wire.has_ended()

    async def open(self) -> None:
        """Where it is not open yet. Raises `McpServerFailed`, `McpRefused`, `NodeConfigurationError`."""
        if self._owner is not None:
            return
        self.wire.begin()
        self._owner = self._loop.create_task(self._live(), name=f"MCP server {self.door.server.name}")
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                _ = await asyncio.wait({self._owner, self._ready}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise self._failed(f"was not ready within {OPEN_SECONDS:g} s") from None
        if not self._ready.done():
            raise self._trouble(self._failure)

    async def _live(self) -> None:
        """What opens and closes the connection."""
        from mcp import Client  # noqa: PLC0415 - loaded by `load`
        from mcp.types import Implementation  # noqa: PLC0415 - as above

        us: Any = Implementation(name="PasteTrader", version="1")
        try:
            async with Client(self._transport(), mode=MODE, cache=None, client_info=us) as client:
                self._ready.set_result(client)
                _ = await self._end.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # Of three libraries. Whoever waits is told.
            self._failure = error
            if not isinstance(error, Exception) and not isinstance(error, BaseExceptionGroup):
                raise

    def _transport(self) -> Any:
        server = self.door.server
        if server.command:
            from workflows_app.tools.mcp import process  # noqa: PLC0415 - loads what addresses do not need

            return process.connected(server, self.wire)
        from workflows_app.tools.mcp import http  # noqa: PLC0415 - as above

        return http.connected(server, self.door.token, self.wire)

    async def close(self) -> None:
        """However often that is cancelled."""
        self._end.set()
        owner, cancelled = self._owner, None
        if owner is None:
            return
        if not self._ready.done():
            _ = owner.cancel()
        limit = self._loop.time() + CLOSE_SECONDS
        while not owner.done():
            if self._loop.time() >= limit:
                _ = owner.cancel()
                limit = float("inf")
            try:
                _ = await asyncio.wait({owner}, timeout=max(0.0, min(limit - self._loop.time(), CLOSE_SECONDS)))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def tools(self) -> Mapping[str, ServerTool]:
        """What the server has now, or had a moment ago. Raises what `open` raises, `McpToolError`."""
        if self._listed_at + LISTED_SECONDS > self._loop.time():
            return self._tools
        from mcp.types import PaginatedRequestParams  # noqa: PLC0415 - loaded by `load`

        found: dict[str, ServerTool] = {}
        cursor: str | None = None
        for _page in range(_MOST_PAGES):
            self.wire.begin()
            params = None if cursor is None else PaginatedRequestParams(cursor=cursor)
            told = await self._ask(lambda client, params=params: client.session.list_tools(params=params))
            listed = told.get("tools")
            for one in listed if isinstance(listed, list) else []:
                if (tool := tool_of(one)) is not None:
                    found[tool.name] = tool
            match told.get("nextCursor"):
                case str() as cursor if cursor:
                    pass
                case _:
                    self._tools, self._listed_at = found, self._loop.time()
                    return found
            if len(found) > _MOST_TOOLS:
                break
        # Half of them would look as if the others were gone.
        raise self._failed(f"has a list of more than {_MOST_PAGES} pages, or of {_MOST_TOOLS} tools")

    async def call(self, tool: str, arguments: JsonObject, tell: Tell | None = None) -> JsonObject:
        """The result as the server has it. Raises what `open` raises, `McpToolError`."""
        from mcp.types import CallToolRequest, CallToolRequestParams  # noqa: PLC0415 - loaded by `load`
        from pydantic import TypeAdapter  # noqa: PLC0415 - as above

        answer: Any = TypeAdapter(dict[str, Any])
        self.wire.begin(arguments)
        # For what the package does with them; the wire sends them with all their digits.
        rounded = cast("dict[str, Any]", _rounded(arguments))
        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=rounded))
        return await self._ask(
            lambda client: client.session.send_request(request, answer, progress_callback=cast("Any", tell))
        )

    async def _ask(self, send: "Callable[[Client], Awaitable[object]]") -> JsonObject:
        assert self._owner is not None
        asking: asyncio.Future[object] = asyncio.ensure_future(send(self._ready.result()))
        try:
            _ = await asyncio.wait({asking, self._owner}, return_when=asyncio.FIRST_COMPLETED)
            error = asking.exception() if asking.done() and not asking.cancelled() else self._failure
        finally:
            # It is not waited for: the package tells the server, which may not listen any more.
            _ = asking.cancel()
            asking.add_done_callback(_unheard)
        if self.wire.refusal is not None:
            raise McpToolError(self._said(self.wire.refusal.get("message")))
        # An answer counts as the wire has read it, whatever the package thinks of its details.
        if self.wire.result is None:
            raise self._trouble(error)
        return self.wire.result

    def _said(self, message: object) -> str:
        said = f" It says: {message}" if isinstance(message, str) and message else ""
        return f"The MCP server {quoted(self.door.server.name)} answered with an error.{said}"

    def _trouble(self, error: BaseException | None) -> NodeError:
        """What went wrong, in a sentence of ours: those of the package quote what was sent."""
        if (ours := _ours(error)) is not None:
            return ours
        status, name = self.wire.http_status, quoted(self.door.server.name)
        if self.wire.trouble:
            return self._failed(self.wire.trouble)
        if status in (401, 403):
            return McpRefused(
                f"The MCP server {name} answered {status}: its token is missing, wrong or may not do this."
            )
        if 300 <= status <= 499 and status not in (408, 425, 429):
            return McpRefused(
                f"The MCP server {name} answered {status}. Check its entry in PASTETRADER['MCP_SERVERS']."
            )
        if status >= 400:
            return self._failed(f"answered {status}")
        told = "" if error is None else f" ({type(_first(error)).__name__})"
        return self._failed(f"sent no answer{told}")

    def _failed(self, predicate: str) -> McpServerFailed:
        sentence = f"The MCP server {quoted(self.door.server.name)} {predicate.rstrip('.')}."
        error = McpServerFailed(sentence, retry_after=self.wire.wait)
        error.outcome_unknown = self.wire.is_sent
        return error


def _unheard(asking: asyncio.Future[object]) -> None:
    """What came too late is no news."""
    if not asking.cancelled():
        _ = asking.exception()


def _first(error: BaseException) -> BaseException:
    """What a task group wraps."""
    return _first(cast(BaseException, error.exceptions[0])) if isinstance(error, BaseExceptionGroup) else error


def _ours(error: BaseException | None) -> NodeError | None:
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_ours, error.exceptions)), None)
    return error if isinstance(error, NodeError) else None


def _rounded(value: object) -> object:
    import json  # noqa: PLC0415 - beside the codec, for what is not sent

    return json.loads(jsontext.dumps(value))


class Sessions:
    """The connections of one event loop."""

    def __init__(self) -> None:
        # Those of each door, the one that was used last at the end.
        self._idle: dict[Door, list[tuple[Session, asyncio.TimerHandle]]] = {}
        self._slots: dict[McpServer, asyncio.Semaphore] = {}
        # Of connections that are being closed.
        self._closing: set[asyncio.Task[None]] = set()

    async def use[T](self, door: Door, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something with a connection that nobody else has; whatever is raised closes it.

        One that was kept may have been ended by its server, or know another version of it: then the work is done with
        a new one, where nothing was called yet.
        """
        slots = self._slots.setdefault(door.server, asyncio.Semaphore(door.server.sessions))
        async with slots:
            if (kept := self._kept(door)) is not None:
                try:
                    return await self._used(kept, work)
                except McpSchemaChanged:
                    # That is found out before a call.
                    pass
                except (McpServerFailed, McpRefused):
                    if kept.wire.is_sent or kept.wire.http_status not in _OF_A_LOST_SESSION:
                        raise
            return await self._used(Session(door), work)

    async def _used[T](self, session: Session, work: Callable[[Session], Awaitable[T]]) -> T:
        try:
            await session.open()
            result = await work(session)
        except McpToolError:
            # It was answered.
            self._keep(session)
            raise
        except BaseException:
            await session.close()
            raise
        self._keep(session)
        return result

    def _kept(self, door: Door) -> Session | None:
        kept = self._idle.get(door, [])
        while kept:
            session, timer = kept.pop()
            timer.cancel()
            if session.is_open:
                return session
            self._close(session)
        return None

    def _keep(self, session: Session) -> None:
        if not session.is_open:
            self._close(session)
            return
        session.wire.begin()
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire, session)
        self._idle.setdefault(session.door, []).append((session, timer))

    def _expire(self, session: Session) -> None:
        self._idle[session.door] = [kept for kept in self._idle[session.door] if kept[0] is not session]
        if not self._idle[session.door]:
            del self._idle[session.door]
        self._close(session)

    def _close(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.close(), name="MCP server closes")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


_of_loops: dict[asyncio.AbstractEventLoop, Sessions] = {}


def sessions() -> Sessions:
    """Those of the running loop. A loop that ends cancels the tasks of its connections, which closes them."""
    loop = asyncio.get_running_loop()
    if (found := _of_loops.get(loop)) is None:
        with _changing:
            for gone in [one for one in _of_loops if one.is_closed()]:
                del _of_loops[gone]
            found = _of_loops[loop] = Sessions()
    return found


async def tools_of(door: Door) -> Mapping[str, ServerTool]:
    """The tools that a server has now, by a connection of its own. Raises what `Session.open` raises."""
    session = Session(door)
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await session.open()
            return await session.tools()
    except TimeoutError:
        raise McpServerFailed(
            f"The MCP server {quoted(door.server.name)} did not say within {OPEN_SECONDS:g} s which tools it has."
        ) from None
    finally:
        await session.close()
