"""What a model is asked, and what it answers: values that know nothing of how it is reached."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workflows_app.dag.types import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """What a model is told of a tool. `name` is one that every provider takes."""

    name: str
    description: str
    input_schema: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`schema` is what an answer must fit; without one the answer is text."""

    system: str
    prompt: str
    schema: JsonObject | None = None
    tools: Sequence[OfferedTool] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A model wants a tool to be called. `id` is the provider's; `problem` says why there are no arguments."""

    id: str
    name: str
    arguments: JsonValue = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`value` is the text, or the value that was asked for; `problem` says in a sentence why there is none.

    With `wishes` it is no answer yet. Tokens are None where the provider does not say them; `size` is what came, in
    bytes. `cut`: it ends where the most tokens were reached.
    """

    value: JsonValue = None
    problem: str = ""
    wishes: Sequence[Wish] = ()
    tokens: tuple[int, int] | None = (0, 0)
    size: int = 0
    model: str = ""
    cut: bool = False


class Talk(Protocol):
    """One conversation with a model: the question first, then what its tools gave, or what was wrong with its answers.

    Raises the errors of `agents.errors`. `max_tokens` bounds one answer; None leaves that to the provider. `write` gets
    the text of the answer as it comes. `size` is the most tokens that the next request can send.
    """

    @property
    def size(self) -> int: ...

    async def ask(self, max_tokens: int | None, write: Callable[[str], None]) -> Answer: ...

    def reply(self, results: Sequence[tuple[Wish, JsonValue]]) -> None: ...

    def correct(self, complaint: str) -> None: ...


class Toolset(Protocol):
    """Calls tools as a model wishes. What comes of it is for the model, also where it is an error."""

    async def call(self, wish: Wish) -> JsonValue: ...
