"""The `PASTETRADER` dict: what it means, what system checks say of it, and that its page is complete."""

import re

import pytest

from executions_app.checks import POSITIVE_NUMBERS, check_agent_budget, check_limits, check_process_setup
from executions_app.conf import execution_settings
from tests.architecture.source import ROOT
from workflows_app.agents.calls import Caps


def test_the_defaults_pass_their_own_checks(settings):
    settings.PASTETRADER = {}
    assert [*check_limits(None), *check_process_setup(None)] == []
    chosen = execution_settings()
    assert (chosen.limits.grace, chosen.tool_threads, chosen.cancel_poll_seconds) == (10, 32, 1)
    assert (chosen.processes.limits.memory_bytes, chosen.processes.limits.cpu_seconds) == (1024**3, None)


def test_what_is_set_arrives(settings):
    settings.PASTETRADER = {
        "TOOL_THREADS": 3, "CANCEL_GRACE_SECONDS": 0.5, "MAX_OUTPUT_BYTES": 1000, "PROCESS_MEMORY_BYTES": 10**9,
        "PROCESS_CPU_SECONDS": 2, "PROCESS_SETUP": "django:setup", "PROCESS_ENVIRONMENT": ["DATABASE_URL"],
    }  # fmt: skip
    assert [*check_limits(None), *check_process_setup(None)] == []
    chosen = execution_settings()
    assert (chosen.tool_threads, chosen.limits.grace) == (3, 0.5)
    limits, setup = chosen.processes.limits, chosen.processes.setup
    assert (limits.memory_bytes, limits.cpu_seconds, limits.output_bytes) == (10**9, 2, 1000)
    assert (setup.function, setup.keep_environment) == ("django:setup", ("DATABASE_URL",))


@pytest.mark.parametrize("name", POSITIVE_NUMBERS)
@pytest.mark.parametrize("wrong", [0, -1, "10", True, None])
def test_a_limit_that_is_no_positive_number_is_an_error_with_a_hint(settings, name, wrong):
    settings.PASTETRADER = {name: wrong}
    (found,) = check_limits(None)
    assert (found.id, found.msg) == ("pastetrader.E002", f"PASTETRADER['{name}'] is {wrong!r}.")
    assert found.hint == "Set a number greater than 0, or leave the setting out."


@pytest.mark.parametrize(
    ("configured", "id_"),
    [
        ({"PROCESS_SETUP": "django.setup"}, "pastetrader.E003"),
        ({"PROCESS_SETUP": len}, "pastetrader.E003"),
        ({"PROCESS_ENVIRONMENT": "DATABASE_URL"}, "pastetrader.E004"),
        ({"PROCESS_ENVIRONMENT": [1]}, "pastetrader.E004"),
    ],
)
def test_a_setup_of_processes_that_means_nothing_is_an_error(settings, configured, id_):
    settings.PASTETRADER = configured
    assert [found.id for found in check_process_setup(None)] == [id_]


@pytest.mark.parametrize(
    "wrong",
    [5, [], {"max_cost": 2.5}, {"max_cost": "much"}, {"max_cost": "0"}, {"max_cost": "NaN"}, {"max_tokens": "5"},
     {"max_requests": 0}, {"max_requests": True}, {"tokens": 5}],
)  # fmt: skip
def test_a_budget_that_means_nothing_is_an_error(settings, wrong):
    settings.PASTETRADER = {"AGENT_BUDGET": wrong}
    (found,) = check_agent_budget(None)
    assert found.id == "pastetrader.E050"
    assert "such as {'max_tokens': 200_000, 'max_cost': '2.50'}" in found.hint


def test_a_budget_is_counted_in_billionths_and_rounded_down(settings):
    settings.PASTETRADER = {"AGENT_BUDGET": {"max_requests": 3, "max_cost": "2.5000000019"}}
    assert check_agent_budget(None) == []
    assert execution_settings().limits.agent_budget == Caps(max_requests=3, max_cost=2_500_000_001)


def test_the_page_of_settings_names_each_of_them_and_no_other():
    sources = [ROOT / app / "conf.py" for app in ("executions_app", "workflows_app")]
    read = {name for path in sources for name in re.findall(r'configured\.get\(\s*"([A-Z_]+)"', path.read_text())}
    assert len(read) > 8
    assert set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)) == read
