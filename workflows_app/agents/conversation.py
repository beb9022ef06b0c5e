"""Asking a model until its answer fits: each request and each call of a tool on record, within what may be used."""

import asyncio
from dataclasses import dataclass, field

from workflows_app.agents.calls import NOTHING, CallKind, CallOutcome, Calls, Closing, Opening, Spent
from workflows_app.agents.errors import AgentLimitExceeded, ModelBusy, ModelRefused, ModelUnavailable
from workflows_app.agents.questions import Answer, Question, Talk, Toolset, Wish
from workflows_app.agents.reservation import SHORTEST_ANSWER, Terms
from workflows_app.dag import jsontext, schema
from workflows_app.dag.jsontext import JsonError, clean
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.tools.errors import NodeError, NodeOutputError

# So many mistakes are told at once.
_TOLD = 10
# Of an answer, on record: the output of the node has all of it.
_RECORDED_BYTES = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One attempt of one agent. What it asks and calls is in `calls`, however it ends."""

    talk: Talk
    question: Question
    terms: Terms
    calls: Calls
    tools: Toolset
    # The shortest answer that is worth a request.
    _least: int = field(default=SHORTEST_ANSWER, init=False)
    _tool_calls: int = field(default=0, init=False)

    async def converse(self) -> JsonValue:
        """The answer that fits the question.

        Raises `AgentLimitExceeded`, `NodeOutputError` where no answer fits, what `calls` raises before a request is
        made, what `talk` raises, and what `tools` raises where nobody knows what a tool has done.
        """
        limits, misfits = self.terms.limits, 0
        while True:
            answer = await self._asked()
            if answer is None:
                continue
            if answer.wishes:
                self.talk.reply([(wish, await self._called(wish)) for wish in answer.wishes])
                continue
            complaint = answer.problem or _mistakes(answer, self.question)
            if not complaint:
                return answer.value
            misfits += 1
            if misfits > limits.max_retries:
                raise NodeOutputError(
                    f"None of the model's {misfits} answers is what was asked for. The last: {complaint}"
                )
            self.talk.correct(f"{complaint} Answer again, with this put right.")

    async def _asked(self) -> Answer | None:
        """One answer; None where it broke off at less than it may have, and others have used the rest by now."""
        terms, size = self.terms, self.talk.size
        opening = Opening(kind=CallKind.MODEL, name=terms.model, provider=terms.provider)
        begun = await self.calls.begin(opening, lambda left: terms.quote(left, size=size, least=self._least))
        allowed, closing = begun.reserved.output_tokens or None, _unheard(begun.reserved)
        try:
            answer = await self._answer(allowed, begun.number)
            closing = Closing(
                outcome=CallOutcome.SUCCEEDED, result=_shown(answer), spent=terms.used_by(answer, begun.reserved)
            )
        except NodeError as error:
            closing = _failed(error, begun.reserved)
            raise
        finally:
            self.calls.end(begun.number, closing)
        if answer.cut:
            self._check_cut(allowed)
            return None
        return answer

    async def _answer(self, allowed: int | None, number: int) -> Answer:
        stated = self.terms.limits.timeout_seconds
        try:
            async with asyncio.timeout(None if stated is None else float(stated)):
                return await self.talk.ask(allowed, lambda text: self.calls.write(number, text))
        except TimeoutError:
            raise ModelUnavailable(f"The model did not answer within {stated} s.") from None

    def _check_cut(self, allowed: int | None) -> None:
        """Let an answer be asked for again that broke off for want of tokens, where there may be more of them."""
        if allowed is None:
            raise AgentLimitExceeded(
                "The answer of the model broke off at what its provider allows where nothing is said. State "
                + "'max_output_tokens' in the limits of the node, or ask for less."
            )
        if allowed >= self.terms.most_output:
            raise AgentLimitExceeded(
                f"The answer of the model broke off at {allowed} tokens, which is all that it may have. Raise "
                + "'max_output_tokens' in the limits of the node, or ask for less."
            )
        # Where that is not left either, `begin` says what was used and what the limit is.
        self._least = allowed + 1

    async def _called(self, wish: Wish) -> JsonValue:
        self._tool_calls += 1
        if self._tool_calls > self.terms.limits.max_tool_calls:
            raise AgentLimitExceeded(
                f"The model has called tools {self.terms.limits.max_tool_calls} times, which is the limit of the node, "
                + "and wants more. Raise 'max_tool_calls' in its limits, or ask for less."
            )
        return await self.tools.call(wish)


def _unheard(reserved: Spent) -> Closing:
    return Closing(outcome=CallOutcome.ABANDONED, spent=reserved)


def _failed(error: NodeError, reserved: Spent) -> Closing:
    """What is not known to have used nothing counts as if it had used all that was reserved."""
    used_nothing = isinstance(error, (ModelBusy, ModelRefused, ModelUnavailable)) and error.used_nothing
    unanswered = isinstance(error, ModelUnavailable) and error.unanswered and not used_nothing
    return Closing(
        outcome=CallOutcome.ABANDONED if unanswered else CallOutcome.FAILED,
        error={"code": error.code, "message": str(error), "type": type(error).__name__},
        spent=NOTHING if used_nothing else reserved,
    )


def _shown(answer: Answer) -> JsonObject:
    """An answer as it goes on record."""
    wishes: list[JsonValue] = [wish.name for wish in answer.wishes]
    shown: JsonObject = {"model": answer.model, "tools": wishes} if wishes else {"model": answer.model}
    if answer.tokens is None:
        shown["usage"] = "The provider does not say what it took: all that was reserved counts."
    if not wishes and not jsontext.is_longer(answer.value, _RECORDED_BYTES):
        shown["answer"] = answer.value
    return shown


def _mistakes(answer: Answer, question: Question) -> str:
    """Why an answer does not fit, in sentences; empty where it does."""
    if question.schema is None:
        return "" if answer.value else "The answer has no text."
    try:
        value = clean(answer.value)
    except JsonError as error:
        return f"The answer is not JSON: {error}"
    found = schema.violations(question.schema, value)
    return " ".join(f"At {path or 'the answer'}: {sentence}" for path, sentence in found[:_TOLD])
