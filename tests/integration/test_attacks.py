"""Attacks on the site as a whole that no other test makes; each beside something harmless that succeeds."""

import asyncio
import time

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, get_resolver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executions_app.executor import WorkflowExecutor
from tests.integration.api import program_of
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.models import Workflow
from workflows_app.models.token import Scope
from workflows_app.services.tokens import bearer_of, create_token

pytestmark = pytest.mark.django_db(transaction=True)

# What is at the root of the site besides the admin and the API, and what anybody is answered there.
OPEN = {"": 302, "language/": 302, "livez": 200, "readyz": 200, "metrics": 200, "admin/login/": 200}
# Pages of the admin that know nobody.
KNOWS_NOBODY = {"admin/logout/", "admin/jsi18n/"}


def pages():
    """Every address without a parameter, but those of the API, which the matrix has."""
    found = []

    def walk(patterns, prefix):
        for one in patterns:
            text = prefix + str(one.pattern)
            if isinstance(one, URLPattern):
                found.append(text)
            elif not text.startswith("api/"):
                walk(one.url_patterns, text)

    walk(get_resolver().url_patterns, "")
    return sorted({page for page in found if not any(mark in page for mark in "<(^")})


def test_every_page_is_closed_or_on_the_list_of_the_open_ones(figure):
    anonymous, found = Client(), pages()
    assert set(OPEN) <= set(found)
    assert len(found) > 15
    for page in found:
        response = anonymous.get(f"/{page}")
        if page in OPEN:
            assert (page, response.status_code) == (page, OPEN[page])
        elif page not in KNOWS_NOBODY:
            assert (page, response.status_code) == (page, 302)
            assert response["Location"].startswith("/admin/login/?next=")
    figure(f"pages closed to anonymous {len(found) - len(OPEN)}, open {len(OPEN)}")


# What nodes can call and name is no secret of anybody.
FOR_ALL_STAFF = frozenset({"admin/workflows_app/configuredtool/", "admin/workflows_app/agent/"})


def test_staff_without_a_permission_see_no_records():
    client = Client()
    client.force_login(get_user_model().objects.create_user("staff", is_staff=True))
    models = [page for page in pages() if page.startswith("admin/") and page.count("/") == 3 and page.split("/")[2]]
    closed = [page for page in models if page.split("/")[1] in {"workflows_app", "executions_app", "auth"}]
    assert len(closed) >= 4
    expected = {(page, 200 if page in FOR_ALL_STAFF else 403) for page in closed}
    assert {(page, client.get(f"/{page}").status_code) for page in closed} == expected


@pytest.fixture(scope="module")
def mutations():
    """Ways to write something else that is nearly the token."""
    return st.one_of(
        st.tuples(st.just("cut"), st.integers(1, 20)),
        st.tuples(st.just("cut front"), st.integers(1, 20)),
        st.tuples(st.just("add"), st.text(min_size=1, max_size=3)),
        st.tuples(st.just("add front"), st.text(min_size=1, max_size=3)),
        st.tuples(st.just("flip"), st.integers(0, 50)),
        st.tuples(st.just("case"), st.just(0)),
    )


def mutated(text, how, much):
    match how:
        case "cut":
            return text[:-much]
        case "cut front":
            return text[much:]
        case "add":
            return text + much
        case "add front":
            return much + text
        case "flip":
            at = much % len(text)
            return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        case _:
            return text.swapcase()


def test_what_is_nearly_a_token_is_none(owner, mutations):
    text = create_token("ada", scopes=[Scope.READ])
    other = create_token(get_user_model().objects.create_user("bob").username)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
    @given(mutations)
    def guess(mutation):
        assert bearer_of(mutated(text, *mutation)) is None

    guess()
    assert (bearer_of(text).user.username, bearer_of(other).user.username) == ("ada", "bob")


def test_text_that_means_something_elsewhere_is_text_here(owner, import_document):
    """Paths, templates, queries and formulas in every parameter that is text: found literally, or not at all."""
    import_document(document("t>a", name="plain", labels=["plain"]))
    ada = program_of(owner)
    described = ada.get("/openapi.json").data["paths"]
    names = [
        (path, parameter["name"])
        for path, methods in described.items()
        for parameter in methods.get("get", {"parameters": []})["parameters"]
        if parameter["in"] == "query" and "{" not in path
    ]
    assert {name for _, name in names} >= {"search", "label", "workflow", "trigger_type", "cursor", "status", "since"}
    for path, name in names:
        for text in ("../../etc/passwd", "..%2f..%2f", "{{7*7}}", "${{ 7*7 }}", "' OR '1'='1", "%", "_", "=1+1", "*"):
            response = ada.get(f"{path}?{name}={text.replace('%', '%25').replace('&', '%26').replace('+', '%2B')}")
            assert response.status_code in (200, 422), (path, name, text)
            if name in {"search", "label", "workflow", "trigger_type"}:
                assert response.data["items"] == [], (path, name, text)
    assert len(ada.get("/workflows?search=lai").data["items"]) == 1


def nodes_of(number):
    return [{"key": f"n{one}", "type": "adapter", "output": {}} for one in range(number)]


BOMBS = {
    "ten million brackets": "[" * 10_000_000,
    "a text of ten megabytes": '"' + "x" * 10_000_000 + '"',
    "a number of a million digits": "1" * 1_000_000,
    "more nodes than there may be": None,
    "a thousand nodes with two thousand problems": jsontext.pretty(
        {"name": "wrong", "nodes": [{"key": f"n{one}", "type": "tool", "foo": 1} for one in range(1000)], "edges": []}
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_document_that_is_a_bomb_is_refused_at_once(owner, bomb, figure):
    ada = program_of(owner)
    text = BOMBS[bomb] or jsontext.dumps({"name": "wide", "nodes": nodes_of(100_001), "edges": []})
    began = time.perf_counter()
    response = ada.post("/workflows", text=text)
    seconds = time.perf_counter() - began
    assert response.status_code in (413, 422)
    assert len(response.data["detail"]) < 2000
    assert not Workflow.objects.exists()
    figure(f"{bomb}: refused in {seconds * 1000:.0f} ms")


def doubling(levels):
    """Each node holds twice what the one before it holds."""
    nodes = {f"n{one}": {"type": "adapter"} for one in range(levels)}
    for one in range(levels):
        before = f"${{{{ nodes.n{one - 1} }}}}" if one else "x" * 100
        nodes[f"n{one}"]["output"] = {"a": before, "b": before}
    edges = ["t>n0", *(f"n{one}>n{one + 1}" for one in range(levels - 1))]
    return document(*edges, name=f"doubling-{levels}", output={}, **nodes)


def test_data_that_doubles_with_every_node_meets_its_limit_and_the_run_its_end(import_document, settings):
    settings.PASTETRADER = {"MAX_OUTPUT_BYTES": 2**20, "MAX_EXECUTION_BYTES": 2**20}
    result = asyncio.run(WorkflowExecutor().execute(import_document(doubling(60)).id))
    assert result.status == "failed"
    failed = [node for node in result.node_results.values() if node.status == "failed"]
    assert len(failed) == 1
    assert "limit" in failed[0].error_message
    assert asyncio.run(WorkflowExecutor().execute(import_document(doubling(8)).id)).status == "completed"
