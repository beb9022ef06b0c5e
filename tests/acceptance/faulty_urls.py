"""An API as everybody's, and three operations that are wrong."""

from django.http import HttpResponse
from django.urls import path
from ninja import NinjaAPI, Router

from executions_app.web import for_users, install, probes, urls
from workflows_app.rest.auth import READ
from workflows_app.rest.shapes import Shown

api = NinjaAPI(urls_namespace="faulty", docs_decorator=for_users, auth=READ)
install(api)
router = Router(tags=["faulty"])


class Number(Shown):
    value: int


@router.get("/broken", response=Number)
def broken(request, divisor: int = 1):
    return {"value": 1 // (divisor - divisor)}


@router.get("/surprising", response=Number)
def surprising(request):
    return HttpResponse('{"value": 1}', status=418, content_type="application/json")


@router.get("/untrue", response=Number)
def untrue(request):
    return HttpResponse('{"value": "one"}', content_type="application/json")


api.add_router("", router)
urlpatterns = [*probes, path("faulty/", urls(api))]
