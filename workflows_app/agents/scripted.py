"""The model of demos and of machines without a network: its answers are always the same, and say that it is none."""

from collections.abc import Callable, Sequence
from typing import cast

from workflows_app.agents.questions import Answer, Question, Wish
from workflows_app.dag.types import JsonObject, JsonValue

MARK = "Scripted answer, no model was asked."
# Characters of the prompt that come back.
_ECHO = 2000
# Levels of a value that is made to fit a schema.
_DEPTH = 20


class ScriptedTalk:
    """Gives the prompt back as text, or the smallest value that the schema describes in plain words.

    It calls no tools: what it would make up for them means nothing.
    """

    # It is sent nothing.
    size = 0

    def __init__(self, question: Question) -> None:
        self._question = question

    async def ask(self, max_tokens: int | None, write: Callable[[str], None]) -> Answer:
        del max_tokens
        question = self._question
        if question.schema is None:
            text = f"{MARK} The prompt: {question.prompt[:_ECHO]}"
            write(text)
            return Answer(value=text, model="scripted")
        return Answer(value=_example(question.schema, _DEPTH), model="scripted")

    def reply(self, results: Sequence[tuple[Wish, JsonValue]]) -> None:
        """It asks for nothing."""

    def correct(self, complaint: str) -> None:
        """It has no other answer."""


def _example(schema: JsonValue, depth: int) -> JsonValue:
    if not isinstance(schema, dict) or depth == 0:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if (choices := schema.get(key)) and isinstance(choices, list):
            return choices[0]
    kind = schema.get("type", "object" if "properties" in schema else None)
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "object":
            properties = cast("JsonObject", schema.get("properties") or {})
            return {name: _example(below, depth - 1) for name, below in properties.items()}
        case "array":
            least = schema.get("minItems", 0)
            return [_example(schema.get("items"), depth - 1) for _ in range(least if isinstance(least, int) else 0)]
        case "string":
            longest = schema.get("maxLength", len(MARK))
            return MARK[: longest if isinstance(longest, int) else None]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case _:
            return None
