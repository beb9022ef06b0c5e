"""The API's description as generated clients want it: short names, and every refusal of every operation."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

from ninja import NinjaAPI

from workflows_app.dag.document import document_schema
from workflows_app.rest.shapes import Refusal

PROBLEM = "application/problem+json"
# What any operation may answer.
_ALWAYS = (401, 403, 422, 429, 500)
_OF_BODY = (411, 413, 415)
_OF_IF_MATCH = (409, 428)
_REFUSAL = {"$ref": f"#/components/schemas/{Refusal.__name__}"}


def describe_refusals(api: NinjaAPI) -> None:
    """Have the description of an API say what `handle_problems` answers, and name operations by their functions."""
    describe = api.get_openapi_schema

    def described(**options: Any) -> Any:
        document = describe(**options)
        shapes = document_schema("#/components/schemas/{model}")
        components = cast("dict[str, Any]", document["components"]["schemas"])
        del shapes["$schema"]
        components |= shapes.pop("$defs") | {"Document": shapes, Refusal.__name__: Refusal.model_json_schema()}
        for operation in _operations(document):
            _add_refusals(operation)
        return document

    changed = cast(Any, api)
    changed.get_openapi_schema = described
    changed.get_openapi_operation_id = _name


def _name(operation: Any) -> str:
    return str(operation.view_func.__name__)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _add_refusals(operation: dict[str, Any]) -> None:
    parameters = {(one["in"], one["name"]): one for one in operation["parameters"]}
    responses = cast("dict[int, Any]", operation["responses"])
    # Those that an operation states itself are problems too.
    statuses = [*_ALWAYS, *(status for status in responses if status >= HTTPStatus.BAD_REQUEST)]
    if any(source == "path" for source, _ in parameters):
        statuses.append(HTTPStatus.NOT_FOUND)
    if "requestBody" in operation:
        statuses += _OF_BODY
    if ("header", "If-Match") in parameters:
        statuses += _OF_IF_MATCH
    for status in sorted(set(statuses)):
        responses[int(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM: {"schema": _REFUSAL}},
        }
    if HTTPStatus.TOO_MANY_REQUESTS in responses:
        responses[HTTPStatus.TOO_MANY_REQUESTS]["headers"] = {
            "Retry-After": {"description": "seconds until it is worth another try", "schema": {"type": "integer"}}
        }
