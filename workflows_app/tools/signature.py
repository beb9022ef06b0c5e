"""A tool's function as a signature: which inputs it takes, and its arguments made from a node's input.

Nothing is resolved before it is needed: importing a module of tools builds no model and loads no Pydantic.
"""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING, Any, get_type_hints

from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeInputError, ToolDefinitionError

if TYPE_CHECKING:
    from pydantic import BaseModel

# So many sentences tell what is wrong; a list of prices may have thousands of wrong ones.
_TOLD = 10
# Annotations of `**values` that let any JSON value through, and none at all: without parameters nothing is checked.
_ANYTHING = (Any, object, JsonValue, None)


class Signature:
    """The parameters of one tool's function. Raises `ToolDefinitionError` where they cannot be called by name."""

    def __init__(self, tool: str, function: Callable[..., object]) -> None:
        self._tool = tool
        self._function = function
        self._parameters: Mapping[str, Parameter] = inspect.signature(function).parameters
        for parameter in self._parameters.values():
            if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL):
                raise ToolDefinitionError(
                    f"Tool '{tool}' gets its inputs by name: declare its parameter '{parameter}' as an ordinary one."
                )

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The annotations, resolved; those that are missing are missing here."""
        try:
            return get_type_hints(self._function, include_extras=True)
        except (NameError, TypeError, SyntaxError) as error:
            raise ToolDefinitionError(
                f"The annotations of tool '{self._tool}' cannot be resolved ({error}): "
                + "import what they name in its module, also at run time."
            ) from error

    @cached_property
    def context_parameter(self) -> str | None:
        """The parameter that gets the `ToolContext`."""
        found = [name for name in self._parameters if self.hints.get(name) is ToolContext]
        if len(found) > 1:
            raise ToolDefinitionError(
                f"Tool '{self._tool}' has {len(found)} parameters of type ToolContext: it can have one."
            )
        return found[0] if found else None

    @cached_property
    def inputs(self) -> dict[str, Parameter]:
        """The named inputs."""
        return {
            name: parameter
            for name, parameter in self._parameters.items()
            if parameter.kind is not Parameter.VAR_KEYWORD and name != self.context_parameter
        }

    @cached_property
    def values_hint(self) -> Any:
        """The annotation of a `**values`, which takes inputs of any name; None where there is none."""
        for name, parameter in self._parameters.items():
            if parameter.kind is Parameter.VAR_KEYWORD:
                return self.hints.get(name, Any)
        return None

    @cached_property
    def input_schema(self) -> JsonObject:
        from workflows_app.tools.shapes import input_schema  # noqa: PLC0415 - loads Pydantic

        return input_schema(self.model)

    @cached_property
    def output_schema(self) -> JsonObject:
        from workflows_app.tools.shapes import output_schema  # noqa: PLC0415 - loads Pydantic

        return output_schema(self.hints.get("return", Any))

    @cached_property
    def model(self) -> "type[BaseModel]":
        """The inputs as a Pydantic model."""
        from workflows_app.tools.shapes import input_model  # noqa: PLC0415 - loads Pydantic

        fields = {name: (self.hints.get(name, Any), item.default) for name, item in self.inputs.items()}
        return input_model(self._tool, fields, self.values_hint)

    def bind(self, given: JsonObject, *, strict: bool) -> dict[str, object]:
        """The function's keyword arguments. An unknown key is an error if `strict`, else it is left out.

        Raises `NodeInputError` with a sentence for each wrong input.
        """
        known = {key: value for key, value in given.items() if self.takes(key)}
        sentences = [self._unknown(key) for key in given if key not in known] if strict else []
        arguments, wrong = self._validated(known)
        sentences += wrong
        if sentences:
            more = len(sentences) - _TOLD
            ending = [f"There are {more} more errors."] if more > 0 else []
            raise NodeInputError(" ".join([*sentences[:_TOLD], *ending]))
        return arguments

    def _validated(self, known: JsonObject) -> tuple[dict[str, object], list[str]]:
        """The arguments, and what is wrong with them."""
        if not self.inputs and self.values_hint in _ANYTHING:
            return {**known}, []
        from workflows_app.tools.shapes import ValidationError, explain, validated  # noqa: PLC0415 - loads Pydantic

        try:
            return validated(self.model, known), []
        except ValidationError as error:
            return {}, explain(error, self._tool, known)

    def takes(self, key: str) -> bool:
        """Whether an input of this name is one of the function's."""
        return key in self.inputs or (self.values_hint is not None and key != self.context_parameter)

    def _unknown(self, key: str) -> str:
        near = get_close_matches(key[:100], self.inputs, n=1)
        if near:
            hint = f"Did you mean '{near[0]}'?"
        elif self.inputs:
            hint = f"It takes {listed(map(quoted, self.inputs), 'and')}."
        else:
            hint = "It takes none."
        return f"Tool '{self._tool}' has no input {quoted(key)}. {hint}"
