"""`show_execution ID`: one execution, its nodes and its journal."""

from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.management.progress import SHAPES
from executions_app.queries import attempts_json, execution_by_id, execution_json, logs_json, reruns_of
from executions_app.services.errors import ExecutionNotFound
from executions_app.usage import usage_of_calls, usage_sentence
from workflows_app.dag import jsontext
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand


class Command(WorkflowCommand):
    help = "Show an execution: its state, its nodes, and with --logs its journal."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("id", metavar="ID")
        _ = parser.add_argument("--json", action="store_true")
        _ = parser.add_argument("--logs", action="store_true", help="the journal as well")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            execution = execution_by_id(options["id"])
        except ExecutionNotFound as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        shown = execution_json(execution)
        attempts = attempts_json(execution, with_calls=True)
        for node in shown["nodes"]:
            node["attempts"] = attempts.get(node["key"], [])
        logs = logs_json(execution) if options["logs"] else []
        if options["json"]:
            self.stdout.write(jsontext.pretty(shown | ({"logs": logs} if options["logs"] else {})))
            return
        self._print(shown, reruns_of(execution))
        for log in logs:
            node = f" [{log['node']}]" if log["node"] else ""
            self.stdout.write(f"{log['seq']:>6} {log['at']:%H:%M:%S.%f} {log['level']:<7}{node} {log['message']}")

    def _print(self, shown: dict[str, Any], reruns: list[str]) -> None:
        workflow = shown["workflow"]
        version = "" if workflow["version"] is None else f" version {workflow['version']}"
        reason = f" ({shown['reason']})" if shown["reason"] else ""
        took = "" if shown["duration_ms"] is None else f" in {shown['duration_ms']} ms"
        self.stdout.write(f"{shown['id']} {workflow['name']}{version}: {shown['status']}{reason}{took}")
        if shown["rerun_of"]:
            self.stdout.write(f"  runs {shown['rerun_of']} again")
        for again in reruns:
            self.stdout.write(f"  was run again as {again}")
        if shown["error"]:
            self.stdout.write(f"  {shown['error']['message']}")
        if shown["usage"]:
            self.stdout.write(f"  agents took {usage_sentence(shown['usage'])}")
        width = max((len(node["key"]) for node in shown["nodes"]), default=0)
        for node in shown["nodes"]:
            note = node["error"]["message"] if node["error"] else node["reason"] or ""
            took = "" if node["duration_ms"] is None else f"{node['duration_ms']} ms"
            shape = SHAPES[node["status"]][0]
            line = f"  {node['key']:<{width}}  {shape} {node['status']:<9}  {took:>14}  {note}"
            self.stdout.write(line.rstrip())
            indent = " " * (width + 6)
            if len(node["attempts"]) > 1:
                self._print_attempts(node["attempts"], indent)
            else:
                self._print_calls(node["attempts"], indent)

    def _print_attempts(self, attempts: list[dict[str, Any]], indent: str) -> None:
        for attempt in attempts:
            note = attempt["error"]["message"] if attempt["error"] else ""
            took = "" if attempt["duration_ms"] is None else f"{attempt['duration_ms']} ms"
            line = f"{indent}attempt {attempt['number']}: {attempt['outcome']:<9}  {took:>10}  {note}"
            self.stdout.write(line.rstrip())
            self._print_calls([attempt], f"{indent}  ")

    def _print_calls(self, attempts: list[dict[str, Any]], indent: str) -> None:
        for call in (call for attempt in attempts for call in attempt["calls"]):
            took = "" if call["duration_ms"] is None else f"{call['duration_ms']} ms"
            usage = usage_of_calls([call]) if call["usage"]["requests"] else None
            note = call["error"]["message"] if call["error"] else usage_sentence(usage) if usage else ""
            line = f"{indent}{call['kind']} {call['name']}: {call['outcome']:<9}  {took:>10}  {note}"
            self.stdout.write(line.rstrip())
