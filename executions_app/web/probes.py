"""What watches a process asks it: does it live, is it ready, how is it doing. Nobody logs in, and no name is told."""

from http import HTTPStatus
from secrets import compare_digest
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from executions_app.conf import execution_settings
from executions_app.live.layer import layer_answers
from executions_app.services.health import engine_is_dead, what_fails
from executions_app.web.metrics import EngineCollector

_registry = CollectorRegistry()
_registry.register(EngineCollector())
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _ = _collector(registry=_registry)


@require_safe
async def livez(_request: HttpRequest) -> HttpResponse:
    """503 where only a new process helps."""
    dead = engine_is_dead()
    return _status({"engine": "Its thread has ended: start the process again."} if dead else {})


@require_safe
async def readyz(_request: HttpRequest) -> HttpResponse:
    """503 with what fails, where this process cannot do all of its work now."""
    failing = dict(await sync_to_async(what_fails)())
    if not await layer_answers():
        failing["channel_layer"] = "It does not answer."
    return _status(failing)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """In the text format of Prometheus, or as OpenMetrics for who accepts that."""
    token = execution_settings().metrics_token
    if token and not compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        refusal = HttpResponse("The metrics are closed: send METRICS_TOKEN as a bearer token.\n", status=401)
        refusal["WWW-Authenticate"] = "Bearer"
        return refusal
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return _fresh(HttpResponse(encode(_registry), content_type=content_type))


# At the root of a site: `urlpatterns = [*probes, ...]`.
probes: list[URLPattern] = [path("livez", livez), path("readyz", readyz), path("metrics", metrics)]


def _status(failing: dict[str, str]) -> HttpResponse:
    if not failing:
        return _fresh(JsonResponse({"status": "ok"}))
    answer: dict[str, Any] = {"status": "unavailable", "failing": failing}
    return _fresh(JsonResponse(answer, status=HTTPStatus.SERVICE_UNAVAILABLE))


def _fresh(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
