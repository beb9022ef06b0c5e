"""`manage.py run_workflow`: exit codes, what goes to stdout and to stderr, inputs, Ctrl-C."""

import json
import os
import pty
import signal
import subprocess
import threading
from decimal import Decimal

import pytest

from tests import databases
from tests.acceptance.conftest import ROOT
from tests.eventually import eventually
from tests.http_server import serving_in_thread
from tests.model_server import one_by_one, says
from workflows_app.dag import jsontext, yamltext

pytestmark = pytest.mark.one_database

SLEEPER = """name: sleeper
nodes:
  - {key: t, type: trigger}
  - {key: nap, type: tool, tool: core.sleep, inputs: {seconds: 50}}
  - {key: after, type: tool, tool: core.set, inputs: {x: 1}}
edges:
  - {from: t, to: nap}
  - {from: nap, to: after}
"""
FAILING = """name: failing
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.fail, inputs: {message: it is broken}}
edges: [{from: t, to: a}]
"""
EXECUTION_KEYS = [
    "id", "workflow", "status", "reason", "labels", "rerun_of", "trigger_type", "scheduling", "input", "output",
    "error", "seq", "created_at", "started_at", "ended_at", "duration_ms", "nodes", "usage",
    "queue", "priority", "due_at",
]  # fmt: skip
NODE_KEYS = {
    "key", "type", "name", "status", "reason", "level", "retry_count", "input", "output", "error", "started_at",
    "ended_at", "duration_ms",
}  # fmt: skip


def test_json_is_one_document_in_the_published_shape(shell):
    done = shell("run_workflow", "rsi-screen", "--json")
    assert done.code == 0
    execution = done.json
    assert list(execution) == EXECUTION_KEYS
    assert execution["workflow"].keys() == {"id", "name", "version"}
    assert all(node.keys() >= NODE_KEYS for node in execution["nodes"])
    assert execution["created_at"].endswith("Z")
    assert len(execution["created_at"]) == len("2026-01-02T03:04:05.000006Z")
    report = execution["output"]["report"]
    assert {symbol: share["signal"] for symbol, share in report["signals"].items()} == {
        "AAPL": "oversold", "GOOG": "overbought", "IBM": "neutral", "MSFT": "neutral",
    }  # fmt: skip
    assert (report["oversold"], report["overbought"]) == (["AAPL"], ["GOOG"])
    assert str(report["signals"]["AAPL"]["rsi"]).startswith("32.778")
    assert str(report["signals"]["GOOG"]["rsi"]).startswith("67.525")


def test_the_diamond_runs_level_by_level(shell):
    done = shell("run_workflow", "diamond", "--json", "--quiet")
    nodes = {node["key"]: node for node in done.json["nodes"]}
    assert done.err == ""
    for node in nodes.values():
        for earlier in nodes.values():
            if earlier["level"] < node["level"]:
                assert earlier["ended_at"] <= node["started_at"]
    left, right = nodes["left"], nodes["right"]
    assert max(left["started_at"], right["started_at"]) < min(left["ended_at"], right["ended_at"])


def test_a_file_runs_as_a_snapshot_of_its_own(shell):
    path = shell.write(
        "own.yaml", FAILING.replace("core.fail, inputs: {message: it is broken}", "core.set, inputs: {n: 1.10}")
    )
    before = shell("export_workflow", "hello").out
    done = shell("run_workflow", path, "--json")
    assert done.code == 0
    assert done.json["workflow"] == {"id": None, "name": "failing", "version": None}
    assert '"n": 1.10' in done.out
    assert shell("export_workflow", "failing").code == 2
    assert shell("export_workflow", "hello").out == before


def test_a_json_document_runs_too_and_its_scheduling_can_be_chosen(shell):
    text = jsontext.pretty(yamltext.load((ROOT / "demo" / "hello.yaml").read_text()).value)
    shown = shell("run_workflow", shell.write("hello.json", text), "--json", "--quiet", "--scheduling", "eager").json
    assert (shown["status"], shown["scheduling"]) == ("completed", "eager")


def test_a_failed_run_exits_1_and_says_why(shell):
    done = shell("run_workflow", shell.write("failing.yaml", FAILING))
    assert done.code == 1
    assert "it is broken" in done.err
    quiet = shell("run_workflow", shell.write("failing.yaml", FAILING), "--quiet", "--json")
    assert (quiet.code, quiet.err, quiet.json["status"]) == (1, "", "failed")
    assert quiet.json["error"] == {
        "code": "node_error", "message": "it is broken", "type": "ToolFailed", "node": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nowhere"], "nowhere"),
        (["nowhere.yaml"], "cannot be read"),
        (["hello", "--input", "{"], "not JSON"),
        (["hello", "--input", "[1]"], "an object"),
        (["hello", "--input", "@/nowhere.json"], "cannot be read"),
        (["hello", "--set", "name"], "--set key=value"),
        (["hello", "--set", "name=5"], "name"),
        (["hello", "--timeout", "soon"], "'soon' is no number of seconds for --timeout: give 0 or more."),
        (["hello", "--timeout", "-1"], "no number of seconds"),
    ],
)
def test_a_request_that_is_not_valid_exits_2_with_one_line(shell, arguments, part):
    done = shell("run_workflow", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert part in done.err
    assert done.err.count("\n") == 1
    assert shell("list_executions").out == ""


def test_an_argument_that_is_no_text_is_one_line_and_runs_nothing(shell):
    command = [*shell.command("run_workflow", "hello", "--set"), b"name=\xff"]
    done = subprocess.run(command, env=shell.environment, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert _statuses(shell) == []


def test_a_traceback_is_shown_where_it_is_asked_for(shell):
    command = shell.command("run_workflow", "nowhere", "--traceback")
    done = subprocess.run(command, env=shell.environment, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert "Traceback" in done.stderr
    assert "There is no workflow 'nowhere'." in done.stderr


def test_a_definition_that_is_not_valid_exits_2_with_all_problems(shell):
    path = shell.write("bad.yaml", FAILING.replace("core.fail", "core.fial").replace("to: a", "to: b"))
    done = shell("run_workflow", path)
    assert done.code == 2
    assert "UNKNOWN_TOOL line 4, node a, tool:" in done.err
    assert "NODE_NOT_FOUND line 5, edge t -> b, to:" in done.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (["--input", '{"name": "Ada"}'], None, {"name": "Ada"}),
        (["--input", "-"], '{"name": "Ada"}', {"name": "Ada"}),
        (
            ["--input", '{"name": "Ada", "n": 1}', "--set", "name=Grace", "--set", "n=[1]"],
            None,
            {"name": "Grace", "n": [1]},
        ),
        (["--set", "name=two words"], None, {"name": "two words"}),
    ],
)
def test_the_input_comes_from_options_files_and_stdin(shell, arguments, stdin, expected):
    assert shell("run_workflow", "hello", "--json", *arguments, stdin=stdin).json["input"] == expected


def test_an_assignment_is_json_if_it_parses_else_text(shell):
    expected = {
        "number=5": 5,
        "digits=1.50": Decimal("1.50"),
        "flag=true": True,
        "nothing=null": None,
        'text="5"': "5",
        "equals=a=b": "a=b",
        "empty=": "",
        "nan=NaN": "NaN",
        "broken=[1, ": "[1, ",
        'object={"a": 1}': {"a": 1},
        # A dot is a part of the key.
        "a.b=1": 1,
    }
    assignments = [argument for assignment in ["number=0", *expected] for argument in ("--set", assignment)]
    given = shell("run_workflow", "hello", "--json", "--quiet", *assignments).json["input"]
    assert given == {assignment.partition("=")[0]: value for assignment, value in expected.items()}
    assert str(given["digits"]) == "1.50"


def test_an_input_file_keeps_its_digits(shell):
    path = shell.write("input.json", '{"amount": 1234567890123456789.123456789}')
    done = shell("run_workflow", "hello", "--json", "--input", f"@{path}")
    assert '"amount": 1234567890123456789.123456789' in done.out


def test_the_same_idempotency_key_is_the_same_execution(shell):
    first = shell("run_workflow", "hello", "--json", "--idempotency-key", "k1").json
    again = shell("run_workflow", "hello", "--json", "--idempotency-key", "k1").json
    assert again == first
    other = shell("run_workflow", "hello", "--set", "name=Ada", "--idempotency-key", "k1")
    assert other.code == 2
    assert "k1" in other.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_or_a_termination_cancels_and_leaves_nothing_running(shell, number, code):
    path = shell.write("sleeper.yaml", SLEEPER)
    process = shell.start("run_workflow", path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first_line = process.stderr.readline
    eventually(lambda: "'nap' started" in first_line())
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    (execution,) = shell("list_executions", "--json").json["items"]
    assert (execution["status"], execution["reason"]) == ("cancelled", "user")
    shown = shell("show_execution", execution["id"], "--json").json
    assert {node["key"]: node["status"] for node in shown["nodes"]} == {
        "t": "completed", "nap": "cancelled", "after": "cancelled",
    }  # fmt: skip


def test_another_process_cancels_a_run(shell):
    path = shell.write("sleeper.yaml", SLEEPER)
    process = shell.start("run_workflow", path, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: "'nap' started" in process.stderr.readline())
    (execution,) = shell("list_executions", "--json").json["items"]
    asked = shell("cancel_execution", execution["id"])
    assert asked.code == 0
    assert execution["id"] in asked.out
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert (json.loads(out)["status"], json.loads(out)["reason"]) == ("cancelled", "user")
    again = shell("cancel_execution", execution["id"])
    assert (again.code, again.out) == (0, f"Execution {execution['id']} is cancelled.\n")
    done = shell("run_workflow", "hello", "--json").json["id"]
    for wrong, part in ((done, "has already ended: it is completed"), ("nobody", "There is no execution 'nobody'")):
        refused = shell("cancel_execution", wrong)
        assert refused.code == 2
        assert part in refused.err


def test_ctrl_c_right_after_acceptance_leaves_nothing_open(shell):
    path = shell.write("sleeper.yaml", SLEEPER)
    ours, theirs = pty.openpty()
    # On a terminal the most happens between acceptance and start.
    process = shell.start("run_workflow", path, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    # A terminal that nobody reads is soon full, and whoever writes to it then waits.
    reader = threading.Thread(target=lambda: list(iter(lambda: _read(ours), b"")))
    reader.start()
    eventually(lambda: _statuses(shell))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    reader.join()
    os.close(ours)
    assert process.returncode == 130
    assert _statuses(shell) == ["cancelled"]
    assert set(_statuses(shell, "nodeexecution")) <= {"completed", "cancelled"}


def test_ctrl_c_twice_is_the_same_as_once(shell):
    path = shell.write("sleeper.yaml", SLEEPER)
    process = shell.start("run_workflow", path, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: "'nap' started" in process.stderr.readline())
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert '"status": "cancelled"' in out
    assert _statuses(shell) == ["cancelled"]


def test_a_terminal_shows_a_table_and_a_pipe_plain_lines(shell):
    assert "✓ Node 'greet' completed." in shell("run_workflow", "hello").err
    ours, theirs = pty.openpty()
    process = shell.start("run_workflow", "hello", stdout=subprocess.PIPE, stderr=theirs)
    out, _ = process.communicate(timeout=40)
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert process.returncode == 0
    assert "Hello, world!" in out
    assert "✓ completed" in shown.decode()
    assert "node" in shown.decode()


def _statuses(shell, table="workflowexecution"):
    """The statuses that are on record, read beside the product."""
    found = databases.rows(shell.environment["DATABASE_URL"], f"SELECT status FROM executions_app_{table}")
    return [status for (status,) in found]


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # The other end is closed: all is read.
        return b""


def test_the_report_of_the_demo_says_that_its_model_is_scripted_and_what_it_took(shell):
    done = shell("run_workflow", "demo/rsi-report.yaml", "--set", "symbol=AAPL")
    assert done.code == 0
    assert "The model is scripted: no model is asked." in done.err
    assert "words: Scripted answer, no model was asked." in done.err
    assert "Agents took 1 request, " in done.err


def test_what_a_real_service_says_is_shown_line_by_line_with_what_it_took(shell):
    said = says("Apple rose.\nIt may fall.", tokens=(812, 64))
    with serving_in_thread(one_by_one(said)) as service:
        shell.environment |= {"AGENT_PROVIDER": f"openai:small@{service.url}/v1", "OPENAI_API_KEY": "sk-of-a-test"}
        done = shell("run_workflow", "demo/rsi-report.yaml", "--set", "symbol=AAPL")
    assert done.code == 0
    told = [line.partition(" · ")[2] for line in done.err.splitlines()]
    assert [line for line in told if line.startswith("words: ")] == ["words: Apple rose.", "words: It may fall."]
    assert "Agents took 1 request, 812 tokens in, 64 out." in done.err
    assert "Wrote" not in done.err
    assert "sk-of-a-test" not in done.err + done.out
