"""What every operation has in common: who is let in, in which order things are refused, and how a refusal looks."""

import logging

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from ninja import NinjaAPI
from ninja.errors import Throttled

from executions_app.web import for_users, install, urls
from pastetrader.api import api
from tests.integration.api import Program, program_of
from tests.integration.conftest import document
from workflows_app.models import ApiToken, AuditEntry
from workflows_app.models.token import Scope
from workflows_app.rest.auth import BrowserAuth, TokenAuth

MAX_BODY, MAX_DOCUMENT = 1024**2, 16 * 1024**2
pytestmark = pytest.mark.django_db(transaction=True)

# Operations that anybody may call. There are none.
WITHOUT_AUTH: set[str] = set()


@pytest.fixture
def ada(owner):
    return program_of(owner)


@pytest.fixture
def session(owner):
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    return client


def open_operations(found):
    """The operations that somebody without a token or a session may call."""
    return {
        operation.view_func.__name__
        for router in found._get_bound_routers()
        for view in router.path_operations.values()
        for operation in view.operations
        if {type(auth) for auth in operation.auth_callbacks} != {TokenAuth, BrowserAuth}
    }


def test_every_operation_takes_tokens_and_sessions_and_nobody_else():
    assert open_operations(api) == WITHOUT_AUTH


def test_an_operation_without_auth_is_found():
    assert open_operations(foreign) == {"broken", "busy"}


def test_without_credentials_the_answer_is_401_whatever_the_body():
    for body in ({"name": 1}, None):
        response = Program().post("/workflows", body)
        assert (response.status_code, response.data["code"]) == (401, "unauthenticated")
        assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer wrong", "Token x", "Basic YTpi", "bearer\tx", "\xff"])
def test_a_header_without_a_good_token_is_401(owner, header):
    assert Program().get("/workflows", Authorization=header).status_code == 401


def test_a_bad_token_is_not_made_up_for_by_a_session(session):
    assert Program(client=session).get("/workflows").status_code == 200
    assert Program("wrong", client=session).get("/workflows").status_code == 401


def test_a_token_is_good_for_its_scopes_alone(owner):
    for scope in Scope:
        program = program_of(owner, [scope])
        statuses = {
            Scope.READ: program.get("/workflows").status_code,
            Scope.WRITE: program.post("/workflows", document("t>a", name=f"of-{scope}")).status_code,
        }
        for wanted, status in statuses.items():
            assert status == (403 if scope is not wanted else 201 if wanted is Scope.WRITE else 200)
    assert program.get("/workflows").data["code"] == "insufficient_scope"


def test_a_revoked_token_is_401_at_once(ada):
    assert ada.get("/workflows").status_code == 200
    ApiToken.objects.update(revoked_at=ApiToken.objects.get().created_at)
    assert ada.get("/workflows").status_code == 401


def test_a_session_needs_the_csrf_token_to_change_something(session):
    program = Program(client=session)
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        response = program.post("/workflows", document("t>a"), kind=kind)
        assert (response.status_code, response.data["code"]) == (403, "csrf_failed")
    page = session.get("/api/v1/docs")
    token = page.content.decode().split('data-csrf-token="')[1].split('"')[0]
    response = program.post("/workflows", document("t>a"), kind="text/plain", X_CSRFToken=token)
    assert (response.status_code, response.data["code"]) == (415, "unsupported_media_type")
    assert program.post("/workflows", document("t>a"), X_CSRFToken=token).status_code == 201


def test_a_session_of_a_user_who_is_no_longer_active_is_none(owner, session):
    owner.is_active = False
    owner.save()
    assert Program(client=session).get("/workflows").status_code == 401


def test_the_documentation_is_for_users_and_comes_from_this_site_alone(ada, session):
    for page in ("/docs", "/openapi.json"):
        assert Program().get(page).status_code == 401
        assert ada.get(page).status_code == 200
    assert ada.get("/openapi.json").data["openapi"].startswith("3.")
    text = session.get("/api/v1/docs").content.decode()
    assert "/static/ninja/swagger-ui-bundle.js" in text
    assert "http://" not in text
    assert "https://" not in text
    script = session.get("/static/ninja/swagger-ui-bundle.js")
    assert script.status_code == 200
    script.close()


@pytest.mark.parametrize(
    "address",
    [
        "/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/workflows", "/api/v1/nothing", "/api/v1/workflows/",
        "/api/v1//workflows", "/api/v1/workflows;x", "/api/v1/workflows/configs/health", "/api/v1/tools/../workflows",
        "/api/v1/%2e%2e/admin", "/api/v1/workflows%00", "/api/v1/WORKFLOWS", "/api/v1/workflows.", "/api/v1/livez",
    ],
)  # fmt: skip
def test_what_is_not_exactly_an_address_of_the_api_is_404(ada, address):
    for program in (ada, Program()):
        for method in ("GET", "POST", "TRACE"):
            response = program.send(method, address)
            assert (response.status_code, response.data["code"]) == (404, "not_found")


def test_a_method_that_an_address_does_not_take_is_405_also_with_an_override(ada):
    response = ada.delete("/workflows")
    assert (response.status_code, response.data["code"]) == (405, "method_not_allowed")
    assert set(response["Allow"].split(", ")) == {"GET", "POST"}
    assert ada.get("/workflows", X_HTTP_Method_Override="DELETE").status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "application/xml", ""])
def test_a_body_of_another_kind_is_415(ada, import_document, kind):
    address = f"/workflows/{import_document(document('t>a')).pk}"
    for response in (
        ada.post("/workflows", text="{}", kind=kind),
        ada.patch(address, text="{}", kind=kind, If_Match=1),
    ):
        assert (response.status_code, response.data["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "text",
    ["", "{", "nul", '{"description": NaN}', '{"description": "\\u0000"}', "[" * 100_000, b"\xff", "[]", "1" * 5000],
)
def test_a_body_that_is_no_json_object_is_422(ada, import_document, text):
    address = f"/workflows/{import_document(document('t>a')).pk}"
    assert ada.patch(address, text=text, If_Match=1).status_code == 422
    assert ada.post("/workflows", text=text).status_code in (415, 422)


def test_a_body_that_is_too_large_is_413(ada, import_document):
    address = f"/workflows/{import_document(document('t>a')).pk}"
    for response in (
        ada.patch(address, {"description": "x" * MAX_BODY}, If_Match=1),
        ada.post("/workflows", text=" " * (MAX_DOCUMENT + 1)),
    ):
        assert (response.status_code, response.data["code"]) == (413, "body_too_large")
    response = ada.put(address, document("t>a", description="x" * MAX_BODY), If_Match=1)
    assert response.status_code == 200


def test_a_body_without_its_length_is_not_read(ada):
    response = ada.client.get("/api/v1/workflows", headers={**ada.headers, "Transfer-Encoding": "chunked"})
    assert (response.status_code, response.json()["code"]) == (411, "length_required")


def test_another_users_object_is_404_before_its_body_is_looked_at(import_document):
    workflow = import_document(document("t>a"))
    stranger = program_of(get_user_model().objects.create_user("eve"))
    for body in ({"description": 1}, {"owner": "eve"}, {}):
        response = stranger.patch(f"/workflows/{workflow.pk}", body, If_Match=1)
        assert (response.status_code, response.data["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=W10", "is_active=perhaps", "search=%00"]
)
def test_a_parameter_that_does_not_fit_is_422_and_named(ada, query):
    response = ada.get(f"/workflows?{query}")
    assert response.status_code == 422
    if query.startswith("limit"):
        assert response.data["errors"][0] | {"message": "", "code": ""} == {
            "code": "", "message": "", "field": "limit", "in": "query",
        }  # fmt: skip


def test_every_answer_says_that_it_is_not_to_be_kept(ada):
    assert ada.get("/workflows")["Cache-Control"] == "no-store"
    assert ada.get("/nothing").status_code == 404


def test_a_deed_is_written_down_with_its_address(ada):
    ada.post("/workflows", document("t>a"))
    entry = AuditEntry.objects.get(verb="workflow.created")
    assert (entry.actor_name, entry.address) == ("ada", "127.0.0.1")


# A foreign project, with operations of its own beside ours.
foreign = NinjaAPI(urls_namespace="foreign", docs_decorator=for_users)
install(foreign)


@foreign.get("/broken", auth=None)
def broken(request):
    raise RuntimeError("the password is hunter2")


@foreign.get("/busy", auth=None)
def busy(request):
    raise Throttled(wait=7)


urlpatterns = [
    path("trade/", urls(foreign)),
    path("other/", include([path("", lambda request: HttpResponse("theirs"))])),
]


@override_settings(ROOT_URLCONF=__name__)
def test_a_foreign_project_mounts_the_api_where_it_likes(owner, ada):
    response = ada.client.post(
        "/trade/workflows", document("t>a"), content_type="application/json", headers=ada.headers
    )
    assert response.status_code == 201
    assert response["Location"] == f"/trade/workflows/{response.json()['id']}"
    assert ada.client.get(response["Location"], headers=ada.headers).json()["name"] == "test"
    assert ada.client.get("/trade/nothing").json()["code"] == "not_found"
    assert ada.client.get("/trade/docs").status_code == 401
    assert ada.client.get("/other/").content == b"theirs"


@override_settings(ROOT_URLCONF=__name__, DEBUG=True)
def test_an_error_of_ours_has_an_id_that_is_in_the_log_and_tells_nothing(ada, caplog):
    with caplog.at_level(logging.ERROR):
        response = ada.client.get("/trade/broken")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in response.content.decode()
    assert "Traceback" not in response.content.decode()
    error_id = response.json()["detail"].split()[-1].rstrip(".")
    assert error_id in caplog.text
    assert "hunter2" in caplog.text


@override_settings(ROOT_URLCONF=__name__)
def test_too_many_requests_are_429(ada):
    response = ada.client.get("/trade/busy")
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    assert "in 7 s" in response.json()["detail"]
