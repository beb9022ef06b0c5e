"""Asking a model until its answer fits or the limits are reached."""

import asyncio

from workflows_app.agents.errors import AgentLimitExceeded, ModelUnavailable
from workflows_app.agents.limits import AgentLimits
from workflows_app.agents.questions import Answer, Question, Talk, Usage
from workflows_app.dag import schema
from workflows_app.dag.jsontext import JsonError, clean
from workflows_app.dag.types import JsonValue
from workflows_app.tools.errors import NodeOutputError

# So many mistakes are told at once.
_TOLD = 10


async def converse(talk: Talk, question: Question, limits: AgentLimits, usage: Usage) -> JsonValue:
    """The answer that fits the question. What was used is in `usage`, also where there is no such answer.

    Raises `AgentLimitExceeded`, `NodeOutputError` where no answer fits, and what `talk` raises.
    """
    complaint = ""
    for _ in range(limits.max_retries + 1):
        if usage.requests >= limits.max_requests:
            raise AgentLimitExceeded(
                f"The node has asked its model {usage.requests} times, which is its limit. {complaint}".rstrip()
            )
        answer = await _asked(talk, limits, usage)
        if limits.max_tokens is not None and (answer.cut or usage.tokens > limits.max_tokens):
            raise AgentLimitExceeded(
                f"The limit of the node is {limits.max_tokens} tokens, and {usage.tokens} were used without an answer "
                "within it. Raise 'max_tokens', or ask for less."
            )
        complaint = answer.problem or _mistakes(answer, question)
        if not complaint:
            return answer.value
        talk.correct(f"{complaint} Answer again, with this put right.")
    raise NodeOutputError(f"None of the model's {usage.requests} answers is what was asked for. The last: {complaint}")


async def _asked(talk: Talk, limits: AgentLimits, usage: Usage) -> Answer:
    usage.requests += 1
    # A provider that is allowed nothing more would refuse, which says less than what follows.
    left = None if limits.max_tokens is None else max(limits.max_tokens - usage.tokens, 1)
    seconds = None if limits.timeout_seconds is None else float(limits.timeout_seconds)
    try:
        async with asyncio.timeout(seconds):
            answer = await talk.ask(left)
    except TimeoutError:
        raise ModelUnavailable(f"The model did not answer within {limits.timeout_seconds} s.") from None
    usage.add(answer)
    return answer


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
