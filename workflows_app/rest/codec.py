"""Bodies in and out, through the project's one JSON codec: every digit survives."""

from typing import Any, cast, override

from django.http import HttpRequest
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from pydantic import BaseModel, ValidationError

from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext
from workflows_app.rest.errors import BodyTooLarge, FieldError, InvalidRequest, UnsupportedMedia
from workflows_app.services.documents import Format, Source, read

JSON = "application/json"
_DOCUMENTS = {JSON: Format.JSON, "application/yaml": Format.YAML}


class JsonParser(Parser):
    @override
    def parse_body(self, request: HttpRequest) -> Any:
        return _json(request)


class JsonRenderer(BaseRenderer):
    media_type = JSON

    @override
    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        return jsontext.dumps(data, around=jsontext.LEVELS_AROUND)


def body_as[T: BaseModel](kind: type[T], request: HttpRequest) -> T:
    """The body as a model, where an operation reads it itself; an absent one is an empty object."""
    return fitted(kind, _json(request) if request.body else {})


def fitted[T: BaseModel](kind: type[T], value: object) -> T:
    """A JSON value as a model. Raises `InvalidRequest`."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(UNFIT, [field_error(cast(Any, detail)) for detail in error.errors()]) from error


def document_in(request: HttpRequest) -> Source:
    """The workflow document that a body is, JSON or YAML. Raises `InvalidDefinition` where it is neither."""
    form = _DOCUMENTS.get(_media_type(request))
    if form is None:
        raise UnsupportedMedia(_media_type(request), list(_DOCUMENTS))
    return document_of_text(_text(request, workflow_settings().document_bytes), form)


def document_of_text(text: str, form: Format | None = None) -> Source:
    """`read` for what a caller sends. Raises `InvalidRequest` besides, where it is nested too deep."""
    source = read(text, form)
    refuse_depth(source.document)
    return source


UNFIT = "The request does not have the shape that this operation asks for."


def field_error(detail: dict[str, Any]) -> FieldError:
    """What Pydantic found, as an item of `errors`."""
    message = "There is no such field: remove it." if detail["type"] == "extra_forbidden" else f"{detail['msg']}."
    field = ".".join(str(step) for step in detail["loc"])
    return {"code": detail["type"], "message": message, "field": field or None}


def _json(request: HttpRequest) -> Any:
    if _media_type(request) != JSON:
        raise UnsupportedMedia(_media_type(request), [JSON])
    try:
        value = jsontext.loads(_text(request, workflow_settings().body_bytes))
    except jsontext.JsonError as error:
        raise InvalidRequest(f"The body is not JSON: {error}") from error
    refuse_depth(value)
    return value


def refuse_depth(value: object) -> None:
    """Raise `InvalidRequest` for what is nested deeper than this site takes."""
    levels = workflow_settings().json_depth
    # The codec itself reads no more than its own limit.
    if levels < jsontext.MAX_DEPTH and jsontext.is_deeper(value, levels):
        raise InvalidRequest(f"The body is nested deeper than {levels} levels: make it flatter.")


def _media_type(request: HttpRequest) -> str:
    return (request.content_type or "").lower()


def _text(request: HttpRequest, limit: int) -> str:
    if len(request.body) > limit:
        raise BodyTooLarge(limit)
    try:
        return request.body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is no UTF-8 text: encode it as UTF-8.") from error
