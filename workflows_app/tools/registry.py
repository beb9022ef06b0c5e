"""Tools by name: the `@tool` decorator, what it makes of a function, and the registry of them all."""

import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast, override

from workflows_app.dag import jsontext
from workflows_app.dag.types import Effect, EffectRule, HasEffect, JsonObject, ToolInfo
from workflows_app.dag.wording import listed, quoted
from workflows_app.tools import rates, threads
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import DuplicateTool, ToolDefinitionError, UnknownTool
from workflows_app.tools.process_limits import Origin, processes
from workflows_app.tools.rates import Rate, RateError
from workflows_app.tools.reconciling import Done, InterruptedAttempt, NotDone, Reconcile, Unknown, Verdict
from workflows_app.tools.signature import Signature

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Arguments", "Registry", "Tool", "ToolContext", "catalogue", "rate_of", "registry", "tool"]

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


# A function's keyword arguments, without the context.
type Arguments = Mapping[str, object]


class Isolation(StrEnum):
    """Where a tool's code runs."""

    # Beside everything else: an async tool in the event loop, a synchronous one in a thread, which nothing can stop.
    THREAD = "thread"
    # In a process of its own, with limits, which is killed at its time limit and at a cancel.
    PROCESS = "process"


# Without slots: what is computed once lives in the instance's dict.
@dataclass(frozen=True, kw_only=True)
class Tool(HasEffect):
    """A function that nodes can call by a name.

    `effects` are the effects that a node may state instead of `effect`. `signature` and `info` are built
    when they are first asked for and raise `ToolDefinitionError` where the function's annotations are wrong.
    """

    name: str
    function: Callable[..., object]
    effect: Effect = Effect.AT_MOST_ONCE
    description: str = ""
    isolation: Isolation = Isolation.THREAD
    # With effect `checkable`: tells what became of an attempt.
    reconcile: Reconcile | None = None
    # Of all calls together, wherever they are made; the settings may say another one: see `rate_of`.
    rate: Rate | None = None

    @cached_property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def origin(self) -> str:
        """Where the function is: its module and qualified name."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @cached_property
    def signature(self) -> Signature:
        return Signature(self.name, self.function)

    @cached_property
    def info(self) -> ToolInfo:
        return ToolInfo(
            name=self.name,
            effect=self.effect,
            effects=self.effects,
            effect_rule=self.effect_rule,
            input_schema=self.signature.input_schema,
            output_schema=self.signature.output_schema,
        )

    def bind(self, inputs: JsonObject, *, strict: bool = True) -> Arguments:
        """The arguments of one call. An input that the function does not have is an error if `strict`, else left out.

        Raises `NodeInputError` for inputs that do not fit.
        """
        if self.isolation is Isolation.PROCESS:
            # Its process gets JSON and checks it: what foreign annotations do belongs there too.
            return inputs if strict else {key: value for key, value in inputs.items() if self.signature.takes(key)}
        return self.signature.bind(inputs, strict=strict)

    async def call(self, inputs: JsonObject, context: ToolContext, *, strict: bool = True) -> object:
        """`bind` and `run`."""
        return await self.run(self.bind(inputs, strict=strict), context)

    async def run(self, arguments: Arguments, context: ToolContext) -> object:
        """Call the function with what `bind` gave, in its own process or, a synchronous one, in a thread.

        A Pydantic model becomes a dict. Raises whatever the function raises.
        """
        if self.isolation is Isolation.PROCESS:
            return await self._call_in_process(cast(JsonObject, arguments), context)
        if self.signature.context_parameter is not None:
            arguments = {**arguments, self.signature.context_parameter: context}
        if self.is_async:
            result = await cast(Awaitable[object], self.function(**arguments))
        else:
            result = await threads.pool.call(partial(self.function, **arguments), context)
            # A plain function around a coroutine function gives its coroutine.
            if inspect.isawaitable(result):
                result = cast(object, await result)
        return _dumped(result)

    async def ask(self, interrupted: InterruptedAttempt, context: ToolContext) -> Verdict:
        """What became of an attempt, as the tool's `reconcile` says, which may raise anything."""
        assert self.reconcile is not None
        if inspect.iscoroutinefunction(self.reconcile):
            found = await cast(Awaitable[object], self.reconcile(interrupted))
        else:
            found = await threads.pool.call(partial(self.reconcile, interrupted), context)
        match found:
            case Done(output):
                return Done(_dumped(output))
            case NotDone() | Unknown():
                return found
            case _:
                raise TypeError(f"reconcile of tool '{self.name}' must return Done(output), NotDone() or Unknown(why).")

    async def _call_in_process(self, inputs: JsonObject, context: ToolContext) -> object:
        from workflows_app.tools.isolation import call_in_process  # noqa: PLC0415 - few tools need it

        return await call_in_process(
            Origin(tool=self.name, module=self.function.__module__, qualname=self.function.__qualname__),
            jsontext.dumps(inputs),
            context,
            strict=True,
            limits=processes.limits,
            setup=processes.setup,
        )


class Registry:
    """The tools of this process. Iterating gives them in the order of their registration."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}

    def register(self, tool: Tool) -> None:
        """Add a tool; the same function again, as after a reload, replaces itself.

        Raises `ToolDefinitionError` for a name or a function that cannot be a tool's, `DuplicateTool` for a name
        that another function has.
        """
        if not is_tool_name(tool.name):
            raise ToolDefinitionError(
                f"{quoted(tool.name)} is no name for a tool: use a family and a name in lower case, as in 'market.rsi'."
            )
        _check_reconcile(tool)
        if not inspect.isfunction(tool.function):
            raise ToolDefinitionError(
                f"Tool '{tool.name}' is no function: put @tool directly on a `def` or an `async def`."
            )
        known = self._tools.get(tool.name)
        if known is not None and known.origin != tool.origin:
            raise DuplicateTool(tool.name, known.origin, tool.origin)
        _ = tool.signature
        self._tools[tool.name] = tool

    def get(self, name: str) -> Tool:
        """Raises `UnknownTool`, which names those that are spelled alike."""
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownTool(name, self._tools) from None

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(tuple(self._tools.values()))

    def __len__(self) -> int:
        return len(self._tools)

    def catalogue(self) -> Mapping[str, ToolInfo]:
        """What definitions need to know of the tools, now and later; a tool's entry is built when it is read."""
        return _Catalogue(self._tools)

    @contextmanager
    def scoped(self) -> Generator[None]:
        """Forget afterwards what is registered inside, and bring back what it replaced."""
        before = dict(self._tools)
        try:
            yield
        finally:
            self._tools.clear()
            self._tools.update(before)

    @contextmanager
    def whole(self) -> Generator[None]:
        """Forget what is registered inside where it ends with an error."""
        before = dict(self._tools)
        try:
            yield
        except BaseException:
            self._tools.clear()
            self._tools.update(before)
            raise


class _Catalogue(Mapping[str, ToolInfo]):
    __slots__ = ("_tools",)

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools

    @override
    def __getitem__(self, name: str) -> ToolInfo:
        return self._tools[name].info

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._tools

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    @override
    def __len__(self) -> int:
        return len(self._tools)


registry = Registry()


def is_tool_name(text: str) -> bool:
    """Whether a tool may have this name: a family and a name, in lower case."""
    return _NAME.fullmatch(text) is not None


def catalogue() -> Mapping[str, ToolInfo]:
    """The catalogue of all registered tools."""
    return registry.catalogue()


def rate_of(name: str, tools: Registry = registry) -> Rate | None:
    """How often the tool of this name may be called, as the settings say, or else as it was registered."""
    said = rates.current()
    if name in said:
        return said[name]
    return tools.get(name).rate if name in tools else None


def tool[**P, R](
    name: str,
    *,
    effect: Effect | str = Effect.AT_MOST_ONCE,
    effects: Iterable[Effect | str] = (),
    effect_rule: EffectRule | None = None,
    description: str = "",
    isolation: Isolation | str = Isolation.THREAD,
    reconcile: Reconcile | None = None,
    rate: str | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function, sync or async, as the tool of this name; the function itself is left as it is.

    Its inputs are the parameters, checked by their annotations; a parameter of type `ToolContext` gets the
    attempt. `effect` tells what a repetition would do outside, `effect_rule` for which inputs that is another one,
    `effects` what a node may state instead. The description is the docstring's first line unless it is given. With
    `isolation="process"` the function runs in a process of its own, which can be killed: it is found there by its
    module and name, gets nothing but JSON and returns nothing but JSON. With effect `checkable`, `reconcile` is a
    function, sync or async, that is given an `InterruptedAttempt` whose outcome nobody heard, and says `Done(output)`,
    `NotDone()` or `Unknown(why)`. `rate`, such as `10/s`, `100/m` or `5/h burst 2`, is how often it is called, by all
    processes of the site together.
    Raises `ToolDefinitionError`.
    """
    place = _one_of(Isolation, isolation, "isolation", name)
    own = _one_of(Effect, effect, "effect", name)
    stated = frozenset(_one_of(Effect, word, "effect", name) for word in effects)
    limit = _rate(rate, name)

    def register(function: Callable[P, R]) -> Callable[P, R]:
        text = description or (inspect.getdoc(function) or "").partition("\n")[0]
        registry.register(
            Tool(
                name=name,
                function=function,
                effect=own,
                effects=stated,
                effect_rule=effect_rule,
                description=text,
                isolation=place,
                reconcile=reconcile,
                rate=limit,
            )
        )
        return function

    return register


def _check_reconcile(tool: Tool) -> None:
    checkable = Effect.CHECKABLE in {tool.effect, *tool.effects}
    if checkable and tool.reconcile is None:
        raise ToolDefinitionError(
            f"Tool '{tool.name}' is checkable, and nothing says how: give @tool a function as 'reconcile'."
        )
    if tool.reconcile is not None and not checkable:
        raise ToolDefinitionError(
            f"Tool '{tool.name}' has a 'reconcile', which is asked for effect='checkable' only: state that effect."
        )
    if checkable and tool.isolation is Isolation.PROCESS:
        raise ToolDefinitionError(
            f"Tool '{tool.name}' is checkable and isolated in a process: leave 'isolation' out, or say at_most_once."
        )


def _rate(text: str | None, name: str) -> Rate | None:
    try:
        return None if text is None else Rate.parse(text)
    except RateError as error:
        raise ToolDefinitionError(f"The rate of tool '{name}' is wrong: {error}") from None


def _one_of[E: StrEnum](kind: type[E], word: E | str, what: str, name: str) -> E:
    try:
        return kind(word)
    except ValueError:
        raise ToolDefinitionError(
            f"The {what} {quoted(word)} of tool '{name}' is none: use {listed(map(quoted, kind))}."
        ) from None


def _dumped(result: object) -> object:
    # A model can only come from a Pydantic that is loaded. Mode json would turn Decimals into text. By alias, as the
    # schema of the output has it.
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(result, pydantic.BaseModel):
        return cast("BaseModel", result).model_dump(mode="python", by_alias=True)
    return result
