"""What is sent, and what becomes of the answer."""

import asyncio
import base64
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.http_server import Connection, Request, json, plain, serving
from tests.unit.tools.http.conftest import Call
from workflows_app.tools.errors import NodeInputError
from workflows_app.tools.http.errors import (
    HttpBroken,
    HttpClientError,
    HttpConnectError,
    HttpResponseError,
    HttpServerError,
    HttpStatusError,
    HttpTimeout,
    HttpTryAgain,
)

pytestmark = pytest.mark.usefixtures("limited")


async def test_json_arrives_with_all_its_digits(call: Call) -> None:
    body = '{"price": 12345678901234567890.12345678, "n": 3, "s": "\u00e4"}'
    async with serving(json(body, X_Page="1")) as server:
        found = await call(f"{server.url}/a?b=c")
    assert found == {
        "status": 200,
        "headers": {"content-type": "application/json", "content-length": str(len(body.encode())), "x-page": "1"},
        "body": {"price": Decimal("12345678901234567890.12345678"), "n": 3, "s": "\u00e4"},
        "url": f"{server.url}/a?b=c",
    }


@pytest.mark.parametrize(
    ("content_type", "form", "body", "value"),
    [
        ("application/problem+json", "auto", b"[1]", [1]),
        ("text/plain; charset=iso-8859-1", "auto", b"\xe4", "\u00e4"),
        ("text/plain; charset=punycode", "auto", b"\xc3\xa4", "\u00e4"),
        ("text/plain; charset=zlib", "auto", b"\xff", "\ufffd"),
        ("image/png", "auto", b"\x00\x01", base64.b64encode(b"\x00\x01").decode()),
        ("text/plain", "bytes", b"a", "YQ=="),
        ("text/plain", "json", b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        ("application/json", "text", b"{}", "{}"),
        ("application/json", "auto", b"", None),
    ],
)
async def test_the_content_type_or_the_node_decides_what_a_body_is(
    call: Call, content_type: str, form: str, body: bytes, value: object
) -> None:
    async with serving(plain(200, body, content_type=content_type)) as server:
        assert (await call(server.url, response=form))["body"] == value


async def test_everything_of_a_request_is_sent_as_it_should_be(call: Call) -> None:
    async with serving(plain(204)) as server:
        _ = await call(
            f"{server.url}/p%20q?x=1#part",
            method="post",
            query={"q": ["a b", "\u00e4&="], "n": Decimal("1E+3"), "t": True, "none": None},
            headers={"X-One": " 1 ", "X-Two": 2},
            json={"amount": Decimal("0.10")},
            auth={"bearer": "token"},
        )
        _ = await call(
            server.url, method="PUT", form={"a": [1, "b c"]}, auth={"basic": {"username": "ada", "password": "p:"}}
        )
        _ = await call(server.url, method="PATCH", body="\u00e4", auth={"header": {"name": "X-Key", "value": "k"}})
        _ = await call(server.url, method="DELETE")
        head = await call(server.url, method="HEAD")
    post, put, patch, delete, _ = server.requests
    assert post.target == "/p%20q?x=1&q=a%20b&q=%C3%A4%26%3D&n=1000&t=true"
    assert post.body == b'{"amount":0.10}'
    sent = {
        "host": f"127.0.0.1:{server.port}", "x-one": "1", "x-two": "2", "authorization": "Bearer token",
        "content-type": "application/json", "accept-encoding": "gzip, deflate",
    }  # fmt: skip
    assert {name: post.headers[name] for name in sent} == sent
    assert (put.body, put.headers["content-type"]) == (b"a=1&a=b%20c", "application/x-www-form-urlencoded")
    assert put.headers["authorization"] == f"Basic {base64.b64encode(b'ada:p:').decode()}"
    assert (patch.body, patch.headers["x-key"]) == ("\u00e4".encode(), "k")
    assert "content-length" not in delete.headers
    assert (head["status"], head["body"]) == (204, None)


async def test_unsafe_methods_carry_the_key_of_the_node_unless_it_is_switched_off(call: Call) -> None:
    async with serving(plain()) as server:
        for method in ("GET", "POST", "DELETE"):
            _ = await call(server.url, method=method)
        _ = await call(server.url, method="POST", idempotency_key=False)
        _ = await call(server.url, method="POST", headers={"Idempotency-Key": "own"})
    keys = [request.headers.get("idempotency-key") for request in server.requests]
    assert keys == [None, "execution-1:n", "execution-1:n", None, "own"]


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"method": "TRACE"}, "The input 'method'"),
        ({"method": "GET /x"}, "The input 'method'"),
        ({"expect": [99]}, "lists statuses"),
        ({"headers": {"X": "a\r\nX-Evil: 1"}}, "holds a line break"),
        ({"headers": {"X\r\nY": "1"}}, "cannot set the header"),
        ({"headers": {"Host": "other"}}, "cannot set the header 'Host'"),
        ({"headers": {"Content-Length": "0"}}, "cannot set the header"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "cannot set the header"),
        ({"headers": {"X": "\u20ac"}}, "beyond Latin-1"),
        ({"auth": {"bearer": "a\nb"}}, "holds a line break"),
        ({"auth": {"bearer": "a", "header": {"name": "X", "value": "b"}}}, "is one of {bearer: token}"),
        ({"auth": {}}, "is one of {bearer: token}"),
        ({"auth": {"basic": {"username": "a:b", "password": "c"}}}, "a user name has no colon"),
        ({"auth": {"digest": "x"}}, "auth"),
        ({"json": 1, "body": "x"}, "sends one content"),
        ({"timeout_seconds": 0}, "must be more than 0"),
        ({"follow_redirects": 11}, "goes from 0 to 10"),
        ({"pagination": {}}, "needs either"),
        ({"pagination": {"link": True, "max_pages": 101}}, "goes from 1 to 100"),
        ({"pagination": {"linked": True}}, "linked"),
        ({"colour": 1}, "has no input 'colour'"),
    ],
)
async def test_what_is_wrong_with_the_inputs_is_said_before_anything_is_sent(
    call: Call, inputs: dict[str, Any], sentence: str
) -> None:
    async with serving(plain()) as server:
        with pytest.raises(NodeInputError) as caught:
            _ = await call(server.url, **inputs)
    assert sentence in str(caught.value)
    assert server.connections == 0


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "http://a b/", "http://a/\r\nX: 1", "http://[::1", "http://a:99999999/"]
)
async def test_what_is_no_address_is_refused_without_its_text(call: Call, url: str) -> None:
    with pytest.raises(NodeInputError) as caught:
        _ = await call(url)
    assert "X: 1" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (302, HttpStatusError, False),
        (400, HttpClientError, False),
        (404, HttpClientError, False),
        (408, HttpTryAgain, True),
        (425, HttpTryAgain, True),
        (429, HttpTryAgain, True),
        (500, HttpServerError, True),
        (503, HttpServerError, True),
    ],
)
async def test_a_status_is_an_error_of_a_class_for_retry_policies(
    call: Call, status: int, kind: type[HttpStatusError], retryable: bool
) -> None:
    async with serving(plain(status, b"secret", location="/secret")) as server:
        with pytest.raises(HttpStatusError) as caught:
            _ = await call(f"{server.url}/secret?secret=1", headers={"X": "secret"})
    assert type(caught.value) is kind
    assert (caught.value.retryable, caught.value.code, caught.value.outcome_unknown) == (
        retryable,
        "http_status",
        False,
    )
    assert str(caught.value).startswith(f"GET 127.0.0.1:{server.port} answered {status}.")
    assert "secret" not in str(caught.value)


async def test_an_expected_status_is_no_error_and_2xx_is_one_where_it_is_not_expected(call: Call) -> None:
    async with serving(json('{"why": 1}', 404)) as server:
        found = await call(server.url, expect=[200, 404])
    assert (found["status"], found["body"]) == (404, {"why": 1})
    async with serving(plain(201)) as server:
        with pytest.raises(HttpStatusError, match="answered 201"):
            _ = await call(server.url, expect=[200])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0"}, 0),
        ({"retry_after": "Fri, 02 Jan 2026 10:00:30 GMT", "date": "Fri, 02 Jan 2026 10:00:00 GMT"}, 30),
        ({"retry_after": "Fri, 02 Jan 2026 09:00:00 GMT", "date": "Fri, 02 Jan 2026 10:00:00 GMT"}, 0),
        ({"retry_after": "Fri, 02 Jan 2026 10:00:30 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "9" * 400}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_handed_to_the_retry_policy(
    call: Call, headers: dict[str, str], seconds: float | None, status: int
) -> None:
    async with serving(plain(status, **headers)) as server:
        with pytest.raises(HttpStatusError) as caught:
            _ = await call(server.url)
    assert caught.value.retry_after == seconds


async def test_no_host_and_nobody_listening_are_errors_that_may_be_retried(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(plain()) as server:
        pass
    with pytest.raises(HttpConnectError) as caught:
        _ = await call(server.url, method="POST")
    assert (caught.value.retryable, caught.value.outcome_unknown) == (True, False)


async def closes_without_an_answer(_request: Request, writer: Connection) -> None:
    writer.close()


async def closes_in_the_body(_request: Request, writer: Connection) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    writer.close()


async def never_answers(_request: Request, _writer: Connection) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [closes_without_an_answer, closes_in_the_body, b"SSH-2.0-x\r\n\r\n"])
@pytest.mark.parametrize(("method", "unknown"), [("GET", False), ("POST", True), ("DELETE", True)])
async def test_the_outcome_of_an_unsafe_request_whose_connection_breaks_is_unknown(
    call: Call, answer: Any, method: str, unknown: bool
) -> None:
    async with serving(answer) as server:
        with pytest.raises(HttpBroken) as caught:
            _ = await call(server.url, method=method)
    assert (caught.value.outcome_unknown, caught.value.retryable, len(server.requests)) == (unknown, True, 1)


@pytest.mark.parametrize(("method", "unknown"), [("GET", False), ("POST", True)])
async def test_a_call_ends_after_its_time(call: Call, method: str, unknown: bool) -> None:
    async with serving(never_answers) as server:
        with pytest.raises(HttpTimeout, match=r"within 0\.05 s") as caught:
            _ = await call(server.url, method=method, timeout_seconds=Decimal("0.05"))
        assert caught.value.outcome_unknown is unknown
        await server.until(lambda server: server.ended == 1)


async def test_a_node_can_only_lower_the_time_of_a_call(call: Call, limited: Callable[..., None]) -> None:
    limited(total_seconds=0.05)
    async with serving(never_answers) as server:
        with pytest.raises(HttpTimeout, match=r"within 0\.05 s"):
            _ = await call(server.url, timeout_seconds=100)


async def test_a_cancelled_call_closes_its_connection(call: Call) -> None:
    async with serving(never_answers) as server:
        task = asyncio.ensure_future(call(server.url))
        await server.until(lambda server: len(server.requests) == 1)
        _ = task.cancel()
        with pytest.raises(asyncio.CancelledError):
            _ = await task
        await server.until(lambda server: server.ended == 1)


async def test_pages_are_followed_by_link_to_the_last_one(call: Call) -> None:
    async def answer(request: Request, writer: Connection) -> None:
        page = int(request.target.partition("=")[2] or 1)
        link = (
            f'<{server.url}/first>; rel="first", </items?page={page + 1}>; rel="prev next"'
            if page < 3
            else "<x>; rel=prev"
        )
        writer.write(json(f"[{page}, {page * 10}]", link=link))

    async with serving(answer) as server:
        found = await call(f"{server.url}/items", pagination={"link": True}, auth={"bearer": "t"})
        assert (found["body"], found["pages"], found["complete"]) == ([1, 10, 2, 20, 3, 30], 3, True)
        assert found["url"] == f"{server.url}/items?page=3"
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer t"] * 3
        found = await call(f"{server.url}/items", pagination={"link": True, "max_pages": 2})
        assert (found["body"], found["pages"], found["complete"]) == ([1, 10, 2, 20], 2, False)
    assert server.connections == 1


@pytest.mark.parametrize("end", ["null", '""', "false"])
async def test_pages_are_followed_by_cursor(call: Call, end: str) -> None:
    async def answer(request: Request, writer: Connection) -> None:
        following = {"/?limit=2": '"a b"', "/?limit=2&after=a+b": "7"}.get(request.target, end)
        writer.write(json(f'{{"data": {{"items": ["{request.target}"]}}, "meta": [{{"next": {following}}}]}}'))

    pagination = {"cursor": {"from": "meta.0.next", "param": "after"}, "items": "data.items"}
    async with serving(answer) as server:
        found = await call(f"{server.url}/", query={"limit": 2}, pagination=pagination)
    assert (found["pages"], found["complete"]) == (3, True)
    assert found["body"] == ["/?limit=2", "/?limit=2&after=a+b", "/?limit=2&after=7"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (json("[1]", link="</>; rel=next"), "leads to a page that was read already"),
        (json("{}"), "has no list where"),
        (json("[1]", link="<http://a:x/>; rel=next"), "no address"),
    ],
)
async def test_pages_that_lead_nowhere_are_an_error(call: Call, answer: bytes, sentence: str) -> None:
    async with serving(answer) as server:
        with pytest.raises(HttpResponseError, match=sentence):
            _ = await call(f"{server.url}/", pagination={"link": True})


async def test_a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_not_missed(call: Call) -> None:
    async def answer(request: Request, writer: Connection) -> None:
        # The second request of the first connection meets its end.
        if server.connections == 1 and len(server.requests) == 2:
            writer.close()
        else:
            writer.write(plain(200, request.target.encode(), content_type="text/plain"))

    async with serving(answer) as server:
        assert [(await call(f"{server.url}/{path}"))["body"] for path in "abc"] == ["/a", "/b", "/c"]
    assert server.connections == 2
    assert [request.target for request in server.requests] == ["/a", "/b", "/b", "/c"]


async def test_an_unsafe_request_is_never_sent_twice(call: Call) -> None:
    async def answer(_request: Request, writer: Connection) -> None:
        if len(server.requests) == 2:
            writer.close()
        else:
            writer.write(plain())

    async with serving(answer) as server:
        _ = await call(server.url, method="POST")
        with pytest.raises(HttpBroken) as caught:
            _ = await call(server.url, method="POST")
    assert (caught.value.outcome_unknown, len(server.requests)) == (True, 2)


@pytest.mark.parametrize(("method", "unknown"), [("GET", False), ("POST", True)])
@pytest.mark.parametrize("then", ["503", "closed", "elsewhere"])
async def test_what_fails_after_a_redirect_does_not_let_the_first_request_be_sent_again(
    call: Call, method: str, unknown: bool, then: str
) -> None:
    async def answer(request: Request, writer: Connection) -> None:
        if request.target == "/":
            writer.write(plain(303, location=f"http://127.0.0.1:{gone.port}/" if then == "elsewhere" else "/there"))
        elif then == "503":
            writer.write(plain(503))
        else:
            writer.close()

    async with serving(plain()) as gone:
        pass
    async with serving(answer) as server:
        with pytest.raises((HttpServerError, HttpBroken, HttpConnectError)) as caught:
            _ = await call(f"{server.url}/", method=method, follow_redirects=1)
    assert caught.value.outcome_unknown is unknown


async def test_no_session_is_kept_between_calls_and_none_is_told(call: Call) -> None:
    async with serving(plain(200, set_cookie="session=secret")) as server:
        found = await call(server.url)
        _ = await call(server.url)
    assert "cookie" not in server.requests[1].headers
    assert "set-cookie" not in found["headers"]


async def test_connections_are_bounded_and_who_waits_gets_one(call: Call, limited: Callable[..., None]) -> None:
    limited(connections=3)
    async with serving(plain(200, b"x" * 100)) as server, asyncio.TaskGroup() as group:
        for _ in range(30):
            _ = group.create_task(call(server.url))
    assert (len(server.requests), server.connections <= 3) == (30, True)


async def test_idle_connections_make_room_for_other_hosts(call: Call, limited: Callable[..., None]) -> None:
    limited(connections=1)
    async with serving(plain()) as one, serving(plain()) as other:
        for _ in range(2):
            _ = await call(one.url)
            _ = await call(other.url)
        await one.until(lambda server: server.ended == 2)
    assert (one.connections, other.connections) == (2, 2)


async def test_other_limits_take_other_connections_and_close_those_of_before(
    call: Call, limited: Callable[..., None]
) -> None:
    async with serving(plain()) as server:
        for connections in (3, 3, 4):
            limited(connections=connections)
            _ = await call(server.url)
        await server.until(lambda server: server.ended == 1)
    assert server.connections == 2
