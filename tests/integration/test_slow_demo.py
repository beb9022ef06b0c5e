"""The demo `slow`: a minute, in which there is something to see."""

from pathlib import Path

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.models import NodeAttempt
from tests.integration.runs import fates
from tests.integration.virtual_time import run_virtually
from workflows_app.services.documents import read, save

__all__ = ["run_virtually"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("pace", "least", "most"), [(None, 57, 61), ("0.1", 15, 20)])
def test_slow_takes_a_minute_and_can_be_hurried(owner, run_virtually, pace, least, most):
    workflow, _ = save(read(Path("demo/slow.yaml").read_text()), owner)
    input_data = {} if pace is None else {"pace": float(pace)}
    result, seconds = run_virtually(WorkflowExecutor().execute(workflow.id, input_data))
    assert result.status == "completed", result.error_message
    assert least <= seconds <= most
    assert {key: fate for key, fate in fates(result).items() if fate != "completed"} == {"hurry": "skipped not_taken"}
    assert result.node_results["busy_service"].retry_count == 2
    outcomes = NodeAttempt.objects.filter(execution=result.execution_id, order=4).order_by("number")
    assert list(outcomes.values_list("outcome", flat=True)) == ["failed", "failed", "succeeded"]
    assert result.output_data["report"]["attempts"] == 3
