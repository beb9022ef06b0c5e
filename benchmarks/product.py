"""The whole product: `WorkflowExecutor` on a database of its own, with every row, the journal and the real recorder."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.database import Database
from benchmarks.floors import Values
from benchmarks.workloads import Workload

ROOT = Path(__file__).resolve().parent.parent
SET_UP_AND_ASK = (
    "import django; django.setup(); from workflows_app.models import Workflow; print(Workflow.objects.count())"
)
NOTHING = "import asyncio; asyncio.run(asyncio.sleep(0))"


def set_up(database: Database) -> None:
    """Django on a database with all tables and a user, and the one tool of the benchmarks."""
    database.choose()
    os.environ["DEBUG"] = "false"
    _ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model
    from django.db import connection

    users: Any = get_user_model()
    users.objects.create_superuser("bench", password=None)
    connection.close()
    database.keep()
    _register()


def tear_down() -> None:
    """Let go of the database."""
    from django.db import connection

    from executions_app.services.run import close

    close()
    connection.close()
    if connection.settings_dict["OPTIONS"].get("pool"):
        connection.close_pool()


def _register() -> None:
    from benchmarks.site import tools

    del tools


def install(workload: Workload, database: Database) -> tuple[Any, Any]:
    """Save and publish the workload's document where every round begins: the workflow, and the floor's snapshot.

    Synchronous, outside of an event loop.
    """
    from django.contrib.auth import get_user_model
    from django.db import connection

    from workflows_app.services import documents
    from workflows_app.services.publish import publish

    database.renew()
    users: Any = get_user_model()
    source = documents.Source(document=workload.document(), line_of=lambda _path: None)
    workflow, _ = documents.save(source, users.objects.get(username="bench"))
    snapshot = _snapshot(workflow, publish(workflow))
    connection.close()
    database.keep()
    return workflow, snapshot


def _snapshot(workflow: Any, version: Any) -> Any:
    from benchmarks.rows import Snapshot
    from executions_app.engine.progress import encode_edges
    from workflows_app.dag.branching import EdgeState
    from workflows_app.services.compile import plan_of

    plan = plan_of(version)
    nodes = enumerate(zip(plan.nodes, plan.levels, strict=True))
    return Snapshot(
        workflow=workflow.id.hex,
        version=version.id.hex,
        title=str(version),
        scheduling=str(plan.settings.scheduling),
        nodes=[(order, node.key, str(node.type), node.label, level) for order, (node, level) in nodes],
        # Every edge is taken.
        edges=[encode_edges([EdgeState.TAKEN] * len(edges)) for edges in plan.outgoing],
    )


class Product:
    """All executions of a workload at once, in one event loop, through the public class."""

    def __init__(self, workload: Workload, database: Database, workflow: Any) -> None:
        self._workload = workload
        self._database = database
        self._workflow = workflow

    async def open(self) -> None:
        from django.db import connection

        from executions_app.recorder.thread import in_recorder

        self._database.renew()
        # Looked up in the thread: every thread has a connection of its own.
        await in_recorder(lambda: connection.ensure_connection())

    async def run(self) -> list[Values]:
        from executions_app.executor import WorkflowExecutor

        executions = (WorkflowExecutor().execute(self._workflow.id, {}) for _ in range(self._workload.executions))
        return [self._values(result) for result in await asyncio.gather(*executions)]

    async def close(self) -> None:
        from executions_app.services.run import close

        close()

    def _values(self, result: Any) -> Values:
        if result.status != "completed":
            raise RuntimeError(f"{self._workload.name}: {result.error_message}")
        outputs: dict[str, Any] = {key: node.output_data for key, node in result.node_results.items()}
        return {node.key: outputs[node.key]["v"] for node in self._workload.nodes}


class Processes:
    """W0: what is compared are whole processes, each with its modules compiled before."""

    def __init__(self, workload: Workload, database: Database, folder: Path) -> None:
        self._workload = workload
        self._database = database
        self.commands: dict[str, list[str]] = {
            "product": [sys.executable, str(ROOT / "manage.py"), "run_workflow", workload.name.lower(), "--quiet"],
            "floor": [sys.executable, "-c", SET_UP_AND_ASK],
            "limit": [sys.executable, "-c", NOTHING],
        }
        # Compiled modules are kept, as where a program is installed, but not in this folder.
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")

    def open(self) -> None:
        self._database.renew()

    def run(self, contender: str) -> str:
        """What the process printed."""
        command = self.commands[contender]
        done = subprocess.run(
            command, check=True, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, encoding="utf-8"
        )
        return done.stdout

    def check(self, contender: str, printed: str) -> None:
        if contender != "product":
            return
        output = json.loads(printed)
        if {key: output[key]["v"] for key in self._workload.expected()} != self._workload.expected():
            raise RuntimeError(f"{self._workload.name} computed something else: {printed}")
