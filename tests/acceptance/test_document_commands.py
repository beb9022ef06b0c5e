"""The other commands: import, export, validate, show, list."""

import pytest

from tests import databases
from tests.acceptance.conftest import ROOT, Shell

pytestmark = pytest.mark.one_database

HELLO = ROOT / "demo" / "hello.yaml"


def test_importing_the_same_again_changes_nothing(shell):
    done = shell("import_workflow", HELLO)
    assert (done.code, done.out) == (0, "hello: unchanged, version 1\n")


def test_other_content_under_the_same_name_is_a_new_version(shell):
    changed = shell.write("hello.yaml", HELLO.read_text().replace("Hello", "Good morning"))
    assert shell("import_workflow", changed).out == "hello: updated, version 2\n"
    assert "Good morning, world!" in shell("run_workflow", "hello").out


def test_of_several_files_all_are_imported_or_none(shell):
    new = shell.write("new.yaml", HELLO.read_text().replace("name: hello", "name: new"))
    bad = shell.write("bad.yaml", "name: bad\nnodes: []\nedges: []\n")
    done = shell("import_workflow", new, bad)
    assert done.code == 2
    assert "NO_NODES" in done.err
    assert done.out == ""
    assert shell("export_workflow", "new").code == 2


def test_an_owner_is_named_or_the_first_superuser(shell):
    assert shell("import_workflow", HELLO, "--owner", "nobody").code == 2
    assert shell("export_workflow", "admin/hello").code == 0


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_an_export_is_a_document_that_imports_unchanged(shell, form):
    exported = shell("export_workflow", "rsi-screen", "--format", form)
    path = shell.write(f"again.{form}", exported.out)
    assert shell("import_workflow", path).out == "rsi-screen: unchanged, version 1\n"


def test_validation_prints_every_problem_and_exits_2(shell):
    path = shell.write("bad.yaml", "name: bad\nnodes:\n  - {key: a, type: tool, tool: core.slep, x: 1}\nedges: []\n")
    done = shell("validate_workflow", path)
    assert done.code == 2
    lines = done.out.splitlines()
    assert {line.partition(" ")[0] for line in lines} == {"NO_TRIGGER", "UNKNOWN_TOOL", "UNKNOWN_KEY"}
    assert all(": " in line for line in lines)


@pytest.mark.parametrize("path", sorted(ROOT.glob("demo/*.yaml")), ids=lambda path: path.stem)
def test_the_demos_have_no_problem(shell, path):
    done = shell("validate_workflow", path)
    assert (done.code, done.out) == (0, "")
    assert shell("validate_workflow", path.stem).code == 0


def test_the_example_of_the_readme_runs(shell):
    text = (ROOT / "README.md").read_text()
    document = text.split("```yaml\n")[1].split("```")[0]
    path = shell.write("buy-list.yaml", document)
    assert shell("validate_workflow", path).code == 0
    done = shell("run_workflow", path, "--set", "symbol=AAPL", "--json")
    assert done.json["output"]["signal"]["signal"] == "buy"


def test_executions_are_listed_newest_first_and_shown_with_their_journal(shell):
    ran, _ = (shell("run_workflow", name, "--quiet", "--json").json for name in ("hello", "diamond"))
    listed = shell("list_executions", "--json").json
    assert listed.keys() == {"items", "next"}
    assert [item["workflow"]["name"] for item in listed["items"]] == ["diamond", "hello"]
    identity = listed["items"][1]["id"]
    shown = shell("show_execution", identity, "--logs").out
    assert "Node 'greet' completed." in shown
    shown = shell("show_execution", identity, "--json", "--logs").json
    logs = shown.pop("logs")
    assert [log["seq"] for log in logs] == list(range(1, len(logs) + 1))
    assert logs[0]["event"] == "execution.pending"
    assert logs[-1]["event"] == "execution.completed"
    assert [len(node.pop("attempts")) for node in shown["nodes"]] == [1] * len(ran["nodes"])
    assert shown == ran
    times = [shown["created_at"], *(one[key] for one in [shown, *shown["nodes"]] for key in ("started_at", "ended_at"))]
    assert all(len(time) == len("2026-01-02T03:04:05.000006Z") and time.endswith("Z") for time in times)
    assert shown["created_at"] <= shown["started_at"] <= shown["ended_at"]


@pytest.mark.parametrize("identity", ["nothing", "00000000-0000-7000-8000-000000000000"])
def test_an_unknown_execution_is_one_line_and_exit_2(shell, identity):
    done = shell("show_execution", identity)
    assert done.code == 2
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["run_workflow", "hello"], ["list_executions"], ["import_workflow", HELLO]])
def test_a_database_without_tables_is_one_line_that_says_what_to_do(tmp_path, worker_id, arguments):
    with databases.new(f"empty_{worker_id}", tmp_path) as url:
        done = Shell(tmp_path, url)(*arguments)
    assert done.code == 2
    assert "manage.py migrate" in done.err
    assert done.err.count("\n") == 1
