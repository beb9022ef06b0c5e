"""What a model is asked, and what it answers: values that know nothing of how it is reached."""

from dataclasses import dataclass, field
from typing import Protocol

from workflows_app.dag.types import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`schema` is what an answer must fit; without one the answer is text."""

    system: str
    prompt: str
    schema: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`value` is the text, or the value that was asked for; `problem` says in a sentence why there is none.

    `cut`: it ends where the most tokens were reached.
    """

    value: JsonValue = None
    problem: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    cut: bool = False


@dataclass(slots=True, kw_only=True)
class Usage:
    """What a node has used so far."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    models: list[str] = field(default_factory=list[str])

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def add(self, answer: Answer) -> None:
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens
        if answer.model and answer.model not in self.models:
            self.models.append(answer.model)


class Talk(Protocol):
    """One conversation with a model: the question first, then what was wrong with its answers.

    Raises the errors of `agents.errors`. `max_tokens` bounds one answer; None leaves that to the provider.
    """

    async def ask(self, max_tokens: int | None) -> Answer: ...

    def correct(self, complaint: str) -> None: ...
