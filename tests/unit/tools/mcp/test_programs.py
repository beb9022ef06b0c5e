"""MCP servers that are programs: real ones, well-behaved and not, and what is left of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from tests import bare_mcp, mcp_server
from tests.architecture.source import ROOT
from tests.eventually import eventually
from tests.unit.tools.mcp.conftest import programs_of
from tests.unit.tools.test_isolation import is_alive
from workflows_app.dag import jsontext
from workflows_app.tools.errors import NodeConfigurationError
from workflows_app.tools.mcp import sessions
from workflows_app.tools.mcp.errors import McpSchemaChanged, McpServerFailed, McpToolError
from workflows_app.tools.mcp.listing import digest_of
from workflows_app.tools.mcp.servers import McpServer, ServerSettingError, servers_of

DIGITS = "1234567890123456789012345.6780"
SECRET = "k3y-0f-the-program"


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.01)


# What goes in and comes out.


async def test_a_server_made_with_the_package_is_called(site, call):
    site(crm=mcp_server.entry())
    assert await call({"number": 7}, tool="findCustomer", server="crm") == {"number": 7, "name": "Emmy"}
    assert await call({"name": "ada"}, tool="greet", server="crm") == {"text": "Hello, ada!"}
    with pytest.raises(McpToolError, match="'findCustomer' of the MCP server 'crm' failed"):
        await call({"number": 8}, tool="findCustomer", server="crm")
    with pytest.raises(McpSchemaChanged, match="has no tool 'gone' any more"):
        await call(tool="gone", server="crm")


async def test_numbers_keep_their_digits_in_both_directions(site, call):
    site(bare=bare_mcp.entry("raw('{\"content\": [], \"structuredContent\": ' + line[line.index('{\"n\":'):-3] + '}')"))
    given = {"n": Decimal(DIGITS)}
    assert jsontext.dumps(await call(given)) == jsontext.dumps(given)
    # The package alone would have rounded them.
    assert json.dumps(json.loads(DIGITS)) != DIGITS


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ('{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}', {"text": "a\nb"}),
        ('{"content": []}', {"text": ""}),
        ('{"content": [{"type": "text", "text": "{\\"a\\": 1}"}]}', {"text": '{"a": 1}'}),
        ('{"content": [{"type": "text", "text": "no"}], "structuredContent": {"a": [1.50]}}', {"a": [Decimal("1.50")]}),
        (
            '{"content": [{"type": "text", "text": "a"}, {"type": "image", "data": "aGk=", "mimeType": "image/png"}]}',
            {"text": "a", "content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}]},
        ),
    ],
)
async def test_the_output_is_what_is_structured_else_the_text_and_what_is_no_text(site, call, result, output):
    site(bare=bare_mcp.entry(f"raw({result!r})"))
    assert jsontext.dumps(await call()) == jsontext.dumps(output)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("{**text('It is late.'), 'isError': True}", "failed. It says: It is late."),
        (
            'say(\'{"jsonrpc": "2.0", "id": %d, "error": {"code": -32602, "message": "Bad."}}\\n\' % asked)',
            "It says: Bad.",
        ),
    ],
)
async def test_what_a_server_answers_as_an_error_is_the_tools_error_whose_outcome_is_known(site, call, does, told):
    site(bare=bare_mcp.entry(does))
    with pytest.raises(McpToolError) as failed:
        await call()
    assert str(failed.value).endswith(told)
    assert not failed.value.outcome_unknown
    # The program has done nothing wrong, and serves the next call.
    (pid,) = programs_of(os.getpid())
    with pytest.raises(McpToolError):
        await call()
    assert programs_of(os.getpid()) == [pid]


async def test_how_far_a_tool_is_goes_to_the_journal(site, call, lines):
    token = "'progressToken': json.loads(line)['params']['_meta']['progressToken']"
    told = f"{{{token}, 'progress': 1, 'total': 4, 'message': 'A'}}"
    site(bare=bare_mcp.entry(f"notify('notifications/progress', {told}) or text('done')"))
    assert await call() == {"text": "done"}
    assert ("debug", "A", {"progress": Decimal("0.25")}) in lines


# What a program is given.


async def test_a_program_sees_nothing_of_ours_but_what_the_settings_name(site, call, monkeypatch):
    monkeypatch.setenv("OURS", SECRET)
    monkeypatch.setenv("GIVEN", "plain")
    does = "text(json.dumps([sorted(os.environ), os.environ['HOME'] == os.getcwd(), os.environ.get('GIVEN')]))"
    site(bare=bare_mcp.entry(does), more=bare_mcp.entry(does, environment=["GIVEN"]))
    names, is_home, given = json.loads((await call())["text"])
    assert set(names) <= {"HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ"}
    assert (is_home, given) == (True, None)
    # The control: what is named is there.
    names, _, given = json.loads((await call(server="more"))["text"])
    assert ("OURS" in names, given) == (False, "plain")


async def test_the_values_that_a_program_is_given_are_hidden_in_what_it_says(site, call, monkeypatch):
    monkeypatch.setenv("BARE_KEY", SECRET)
    tells = "{'content': [], 'structuredContent': {os.environ['BARE_KEY']: 'with ' + os.environ['BARE_KEY']}}"
    site(bare=bare_mcp.entry(tells, environment=["BARE_KEY"]), dies=bare_mcp.entry("die()", environment=["BARE_KEY"]))
    assert await call() == {"***": "with ***"}
    with pytest.raises(McpServerFailed) as failed:
        await call(server="dies")
    assert str(failed.value).endswith("ended with code 3. Its last errors: It dies. ***.")


async def test_a_variable_a_program_or_a_folder_that_is_missing_is_a_matter_of_the_settings(site, call):
    site(
        variable=bare_mcp.entry("text('')", environment=["NOT_THERE"]),
        program={"command": ["/nowhere/gone"]},
        folder=bare_mcp.entry("text('')", cwd="/nowhere"),
        few=bare_mcp.entry("text('')", tools=["other"]),
    )
    for server, told in [
        ("variable", "NOT_THERE"),
        ("program", "cannot be started .there is no such program."),
        ("folder", "cannot be started .No such file or directory."),
        ("few", "does not allow the tool 'work'"),
        ("no such", "Known are 'variable', 'program', 'folder' and 'few'"),
    ]:
        with pytest.raises(NodeConfigurationError, match=told):
            await call(server=server)


# Schemas.


async def test_a_tool_that_takes_something_else_than_was_imported_is_not_called(site, call, tmp_path):
    listed, called = tmp_path / "tools.json", tmp_path / "called"
    listed.write_text(json.dumps([bare_mcp.TOOL]))
    site(bare=bare_mcp.entry(f"open({str(called)!r}, 'a').write('x') and text('done')", str(listed)))
    digest = digest_of(bare_mcp.SCHEMA)
    assert await call(digest=digest) == {"text": "done"}
    changed = {**bare_mcp.TOOL, "inputSchema": {**bare_mcp.SCHEMA, "required": ["n"]}}
    listed.write_text(json.dumps([changed]))
    # Nobody asks again at once, and a new connection does.
    assert await call(digest=digest) == {"text": "done"}
    site(bare=bare_mcp.entry(f"open({str(called)!r}, 'a').write('x') and text('done')", str(listed), sessions=1))
    with pytest.raises(McpSchemaChanged, match="import it again"):
        await call(digest=digest)
    assert called.read_text() == "xx"
    # The control: without a digest it is called.
    assert await call() == {"text": "done"}


async def test_a_tool_that_was_imported_again_is_called_at_once(site, call, tmp_path):
    listed = tmp_path / "tools.json"
    listed.write_text(json.dumps([bare_mcp.TOOL]))
    site(bare=bare_mcp.entry("text(str(calls))", str(listed)))
    assert await call(digest=digest_of(bare_mcp.SCHEMA)) == {"text": "1"}
    schema = {"type": "object"}
    listed.write_text(json.dumps([{**bare_mcp.TOOL, "inputSchema": schema}]))
    assert await call(digest=digest_of(schema)) == {"text": "1"}


async def test_a_list_without_an_end_is_no_list(site, call, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "_MOST_PAGES", 3)
    listed = tmp_path / "tools.json"
    listed.write_text(json.dumps([bare_mcp.TOOL]))
    site(bare=bare_mcp.entry("text('')", str(listed), "more"))
    with pytest.raises(McpServerFailed, match="more than 3 pages") as failed:
        await call()
    assert not failed.value.outcome_unknown


async def test_a_list_that_is_old_is_asked_for_again(site, call, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "LISTED_SECONDS", 0)
    listed = tmp_path / "tools.json"
    listed.write_text(json.dumps([bare_mcp.TOOL]))
    site(bare=bare_mcp.entry("text(str(calls))", str(listed)))
    assert await call(digest=digest_of(bare_mcp.SCHEMA)) == {"text": "1"}
    listed.write_text("[]")
    with pytest.raises(McpSchemaChanged, match="has no tool 'work' any more"):
        await call()


# Servers that fail.


async def test_a_server_that_dies_in_a_call_leaves_its_outcome_unknown_and_the_next_call_has_another(
    site, call, tmp_path
):
    first = tmp_path / "first"
    site(bare=bare_mcp.entry(f"os.path.exists({str(first)!r}) and text('well') or open({str(first)!r}, 'w') and die()"))
    with pytest.raises(McpServerFailed) as failed:
        await call()
    assert str(failed.value).startswith("The MCP server 'bare' ended with code 3. Its last errors: It dies.")
    assert failed.value.outcome_unknown
    assert await call() == {"text": "well"}


async def test_a_server_that_dies_before_a_call_has_done_nothing(site, call):
    site(bare={"command": ["/bin/sh", "-c", "echo not today >&2; exit 4"]})
    with pytest.raises(McpServerFailed) as failed:
        await call()
    assert str(failed.value) == "The MCP server 'bare' ended with code 4. Its last errors: not today."
    assert not failed.value.outcome_unknown


async def test_a_server_that_died_while_nobody_needed_it_is_started_again(site, call):
    site(bare=bare_mcp.entry("text(str(os.getpid()))"))
    pid = int((await call())["text"])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid))
    assert (await call())["text"] != str(pid)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ('say(\'{"jsonrpc": "2.0", oh\\n\')', "sent a message that is no JSON"),
        ('say(\'{"jsonrpc": "2.0", "id": %d, "result": {"x": NaN}}\\n\' % asked)', "sent a message that is no JSON"),
        ('say(\'{"jsonrpc": "2.0", "id": %d}\\n\' % asked)', "sent an answer that is none"),
        ("flood('what? ' * 1000 + '\\n')", "sent more than 65536 bytes"),
        ("flood('x' * 1000)", "sent more than 65536 bytes"),
        (
            'flood(\'{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}\\n\')',
            "sent more than 65536 bytes",
        ),
        ("text('x' * 70_000)", "sent more than 65536 bytes"),
        ("os.close(1)", "closed its output"),
    ],
)
async def test_a_server_that_does_not_keep_to_the_protocol_fails_its_call_and_is_ended(site, call, does, told):
    site(bare=bare_mcp.entry(does))
    with pytest.raises(McpServerFailed, match=told) as failed:
        await call()
    assert failed.value.outcome_unknown
    assert programs_of(os.getpid()) == []


async def test_words_around_the_messages_do_no_harm(site, call):
    site(bare=bare_mcp.entry("say('Working\\n\\n{\"level\": \"info\"}\\n') or text('done')"))
    assert await call() == {"text": "done"}


async def test_a_server_that_hangs_is_killed_with_what_it_started(site, call, tmp_path, interruptions):
    pids = tmp_path / "pids"
    child = "[sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)']"
    does = f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{__import__(\"subprocess\").Popen({child}).pid}}\\n')"
    site(bare=bare_mcp.entry(f"[{does}, hang()]"))
    calling = asyncio.ensure_future(call())
    await until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    found = [int(pid) for pid in pids.read_text().split()]
    assert all(map(is_alive, found))
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert not any(map(is_alive, found))
    assert interruptions == []


async def test_a_server_that_does_not_read_is_killed_as_well(site, call, tmp_path):
    listed = tmp_path / "tools.json"
    listed.write_text(json.dumps([bare_mcp.TOOL]))
    site(bare=bare_mcp.entry("text('')", str(listed), "deaf"))
    calling = asyncio.ensure_future(call({"n": "x" * 1_000_000}))
    await until(lambda: programs_of(os.getpid()))
    # It is not told where the call is; wherever it is, it ends.
    _, pending = await asyncio.wait({calling}, timeout=1)
    assert pending == {calling}
    calling.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await calling
    assert programs_of(os.getpid()) == []


async def test_a_call_that_was_not_sent_when_it_was_cancelled_has_never_begun(site, call, tmp_path, interruptions):
    started = tmp_path / "started"
    site(bare={"command": ["/bin/sh", "-c", f"touch {started}; sleep 600"]})
    calling = asyncio.ensure_future(call())
    await until(started.exists)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert interruptions == [("Nothing was sent to the MCP server 'bare' yet.", "never began")]


def test_a_program_dies_with_the_process_that_started_it(tmp_path):
    """The control is the program itself: it reads nothing any more, and would go on for ever."""
    pids = tmp_path / "pid"
    entry = bare_mcp.entry(f"[open({str(pids)!r}, 'w').write(f'{{os.getpid()}}\\n'), hang()]")
    code = f"""
import asyncio
from workflows_app.tools.mcp import sessions
from workflows_app.tools.mcp.servers import servers_of

async def main():
    sessions.load()
    door = sessions.Door(servers_of({{"bare": {entry!r}}})["bare"])
    await sessions.sessions().use(door, lambda session: session.call("work", {{}}))

asyncio.run(main())
"""
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        pid = int(eventually(lambda: pids.exists() and pids.read_text().endswith("\n") and pids.read_text()))
        assert is_alive(pid)
    finally:
        owner.kill()
        owner.wait()
    eventually(lambda: not is_alive(pid))


# Connections.


async def test_calls_one_after_the_other_use_one_process_and_those_at_the_same_time_one_each(site, call, tmp_path):
    met = tmp_path / "met"
    met.mkdir()
    site(
        bare=bare_mcp.entry("text(f'{os.getpid()} {calls}')"),
        meeting=bare_mcp.entry(f"meet({str(tmp_path / 'met')!r})"),
    )
    first, second = [(await call())["text"].split() for _ in range(2)]
    assert (first[0], first[1], second[1]) == (second[0], "1", "2")
    # Each waits until the other is there, too.
    assert await asyncio.gather(call(server="meeting"), call(server="meeting")) == [{"text": "met"}] * 2


async def test_no_more_processes_than_the_settings_allow(site, call):
    site(bare=bare_mcp.entry("text(f'{os.getpid()} {calls}')", sessions=1))
    answers = [answer["text"].split() for answer in await asyncio.gather(*(call() for _ in range(4)))]
    assert sorted(count for _, count in answers) == ["1", "2", "3", "4"]
    assert len({pid for pid, _ in answers}) == 1


async def test_a_process_that_nobody_needs_is_ended(site, call, monkeypatch):
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0.01)
    site(bare=bare_mcp.entry("text(str(os.getpid()))"))
    pid = int((await call())["text"])
    await until(lambda: not is_alive(pid))


# Settings.


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ([], "is no mapping with a 'command' or a 'url'"),
        ({}, "either a 'command' or a 'url'"),
        ({"command": ["/bin/x"], "url": "https://a.example"}, "either a 'command' or a 'url'"),
        ({"command": "/bin/x"}, "must be a list"),
        ({"command": ["x"]}, "absolute path"),
        ({"command": ["/bin/x"], "environment": ["A=b"]}, "names of variables"),
        ({"command": ["/bin/x"], "cwd": "here"}, "no absolute path"),
        ({"command": ["/bin/x"], "token_env": "A"}, "has 'token_env'"),
        ({"command": ["/bin/x"], "sessions": 0}, "above 0"),
        ({"command": ["/bin/x"], "tools": "work"}, "no list of names"),
        ({"url": "ftp://a.example"}, "is no URL"),
        ({"url": "https://ada:pw@a.example/mcp"}, "is no URL"),
        ({"url": "https://a.example/mcp", "token_env": "A", "token_secret": "B"}, "keep one"),
        ({"url": "https://a.example/mcp", "token_env": "s3cr3t-value!"}, "is no name"),
    ],
)
def test_settings_that_describe_no_server_say_what_to_change(entry, told):
    with pytest.raises(ServerSettingError, match=told) as failed:
        servers_of({"a": entry})
    assert "s3cr3t" not in str(failed.value)


def test_settings_are_read():
    found = servers_of({"a": {"command": ["/bin/x", "y"], "environment": ["A"], "tools": ["t"], "sessions": 2}})
    assert found["a"] == McpServer(
        name="a", command=("/bin/x", "y"), environment=("A",), tools=frozenset({"t"}), sessions=2
    )
