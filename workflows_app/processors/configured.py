"""Calls of tools that were made on the site: what their kind is called with, made of what their node was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workflows_app.dag import rendering, schema
from workflows_app.dag.configured import defaults_of, inputs_of
from workflows_app.dag.plan import Configured
from workflows_app.dag.rendering import Scope
from workflows_app.dag.schema_reading import SchemaReader
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.processors.errors import NodeInputError

# So many sentences tell what is wrong.
TOLD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What a configuration sees: its node's input, and of everything else secrets alone."""

    given: JsonObject
    around: Scope

    @property
    def now(self) -> datetime:
        return self.around.now

    def lookup(self, name: str) -> object:
        if name == "input":
            return self.given
        if name == "secrets":
            return self.around.lookup(name)
        raise KeyError(name)


def arguments(tool: Configured, kind: JsonObject, given: JsonObject, *, strict: bool, scope: Scope) -> JsonObject:
    """The configuration, rendered, over those inputs of the node that the kind takes; `kind` is its input schema.

    An input that the tool does not have is an error if `strict`, else it is left out. Raises `NodeInputError` for
    inputs that do not fit the tool's schema, `ExpressionError` from the configuration.
    """
    accepted = inputs_of(tool, kind)
    if not strict:
        taken = SchemaReader(accepted)
        given = {name: value for name, value in given.items() if not taken.lacks(taken.root, name)}
    _check(tool, accepted, given)
    seen = {**defaults_of(tool, accepted), **given}
    rendered = rendering.render(tool.configuration, _Own(given=seen, around=scope))
    assert isinstance(rendered, dict)
    offered = SchemaReader(kind)
    passed = given if tool.input_schema is None else seen
    return {name: value for name, value in passed.items() if not offered.lacks(offered.root, name)} | rendered


def _check(tool: Configured, accepted: JsonObject, given: JsonValue) -> None:
    found = schema.violations(accepted, given)
    if found:
        raise NodeInputError(f"The inputs do not fit those of the tool '{tool.name}'. {told(found, 'inputs')}")


def told(found: Sequence[tuple[str, str]], whole: str) -> str:
    """Violations of a schema as sentences, each with its place in the whole."""
    sentences = [f"At {f'{whole}.{path}' if path else whole}: {sentence}" for path, sentence in found[:TOLD]]
    more = [f"There are {len(found) - TOLD} more errors."] if len(found) > TOLD else []
    return " ".join([*sentences, *more])
