"""The whole product: `WorkflowExecutor` on a database of its own, with every row, the journal and the real recorder."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.workloads import Workload, body

ROOT = Path(__file__).resolve().parent.parent


def set_up(folder: Path) -> None:
    """Django on a fresh SQLite database with all tables, and the one tool of the benchmarks."""
    os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'bench.sqlite3'}"
    _ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model

    users: Any = get_user_model()
    users.objects.create_superuser("bench", password=None)
    from workflows_app.tools import tool

    @tool("bench.node", effect="none")
    async def bench_node(values: list[int], milliseconds: int = 0) -> dict[str, int]:
        if milliseconds:
            await asyncio.sleep(milliseconds / 1000)
        return {"v": body(values)}

    del bench_node


def save(workload: Workload) -> Any:
    from django.contrib.auth import get_user_model

    from workflows_app.services import documents

    users: Any = get_user_model()
    source = documents.Source(document=workload.document(), line_of=lambda _path: None)
    saved, _ = documents.save(source, users.objects.get(username="bench"))
    return saved


def whole(workload: Workload, workflow: Any) -> Any:
    """All executions of a workload at once, in one event loop, through the public class."""
    from executions_app.executor import WorkflowExecutor

    async def run() -> list[dict[str, int]]:
        results = await asyncio.gather(
            *(WorkflowExecutor().execute(workflow.id, {}) for _ in range(workload.executions))
        )
        values: list[dict[str, int]] = []
        for result in results:
            if result.status != "completed":
                raise RuntimeError(f"{workload.name}: {result.error_message}")
            outputs: dict[str, Any] = {key: node.output_data for key, node in result.node_results.items()}
            values.append({node.key: outputs[node.key]["v"] for node in workload.nodes})
        return values

    return run


def floor_rows(workflow: Any) -> Any:
    """How the Django floor accepts a run of the same workflow."""
    from benchmarks.rows import accept
    from executions_app.models import WorkflowExecution, querysets
    from workflows_app.services.compile import plan_of
    from workflows_app.services.publish import publish

    version = publish(workflow)
    plan = plan_of(version)

    def accept_one() -> Any:
        execution = WorkflowExecution(
            workflow_id=workflow.id,
            version=version,
            scheduling="levels",
            input={},
            last_seq=1,
            created_at=querysets.now(),
        )
        return accept(execution, plan)

    return accept_one


def processes() -> dict[str, list[str]]:
    """W0, as whole processes: run a workflow of one node by its name; set Django up and ask it one thing."""
    question = (
        "import django; django.setup(); from workflows_app.models import Workflow; print(Workflow.objects.count())"
    )
    return {
        "product": [sys.executable, str(ROOT / "manage.py"), "run_workflow", "w0", "--quiet"],
        "django": [sys.executable, "-c", question],
        "asyncio": [sys.executable, "-c", "import asyncio; asyncio.run(asyncio.sleep(0))"],
    }


def run_process(command: list[str]) -> None:
    _ = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
