"""The tools that a model finds here, each with what it needs, takes and gives; the documentation has the same table."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from executions_app.mcp import executions, workflows
from executions_app.mcp.arguments import (
    ExecutionWithJournal,
    GetExecution,
    ListExecutions,
    ListWorkflows,
    Nothing,
    OfDocument,
    OfExecution,
    OfWorkflow,
    RerunExecution,
    RunWorkflow,
    Watched,
    WatchExecution,
)
from executions_app.mcp.call import Call
from executions_app.schemas import ExecutionPage, ExecutionShown, ExecutionSummary, ToolPage
from workflows_app.models.token import Scope
from workflows_app.rest.shapes import Given, Shown
from workflows_app.schemas import Validation, WorkflowPage, WorkflowShown

INSTRUCTIONS = (
    "PasteTrader runs workflows: graphs of nodes that are described by a document. To make one, look at list_tools for "
    "what its nodes can call and at get_workflow for an example, check the text with validate_workflow, then "
    "create_workflow. To run one, run_workflow with `wait`; watch_execution follows what takes longer. A failed run is "
    "a result: its `error` and the errors of its nodes say why. A refusal has a `code`, and a `detail` that says what "
    "to do."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A tool. A repetition of an idempotent one does nothing more; a destructive one may not be undone."""

    function: Callable[[Call, Any], Awaitable[Any]]
    title: str
    description: str
    scope: Scope
    arguments: type[Given]
    result: type[Shown]
    reads_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False
    # Nodes may call whatever they can reach.
    is_open: bool = False
    # It tells how far it is.
    tells: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def takes_document(self) -> bool:
        """Whether its arguments may be as long as a document."""
        return self.arguments is OfDocument


_ALL = (
    Operation(
        function=workflows.list_workflows,
        title="List workflows",
        description="Find workflows that you may see, by name, without their documents.",
        scope=Scope.READ,
        arguments=ListWorkflows,
        result=WorkflowPage,
        reads_only=True,
    ),
    Operation(
        function=workflows.get_workflow,
        title="Get a workflow",
        description="Get one workflow with its document: nodes, edges, variables, and the input_schema that the input "
        "of a run must fit.",
        scope=Scope.READ,
        arguments=OfWorkflow,
        result=WorkflowShown,
        reads_only=True,
    ),
    Operation(
        function=workflows.validate_workflow,
        title="Validate a document",
        description="Check the text of a workflow document and get everything that is wrong with it, each problem with "
        "its place. Nothing is saved: use it before create_workflow.",
        scope=Scope.READ,
        arguments=OfDocument,
        result=Validation,
        reads_only=True,
    ),
    Operation(
        function=workflows.create_workflow,
        title="Create a workflow",
        description="Save the text of a document as a new workflow of yours. Any error in it refuses it. The name must "
        "be new among your workflows.",
        scope=Scope.WRITE,
        arguments=OfDocument,
        result=WorkflowShown,
    ),
    Operation(
        function=executions.run_workflow,
        title="Run a workflow",
        description="Start an execution of a workflow with an input, and wait up to 60 seconds for its end. Without "
        "`wait` it comes back at once, pending. Nodes do what the workflow says, also outside: they may call services.",
        scope=Scope.RUN,
        arguments=RunWorkflow,
        result=ExecutionShown,
        is_destructive=True,
        is_open=True,
    ),
    Operation(
        function=executions.get_execution,
        title="Get an execution",
        description="Get one execution with every node's status, input, output and error; with `journal_after` also "
        "what happened step by step, with `node` the attempts of a node and the calls of an agent.",
        scope=Scope.READ,
        arguments=GetExecution,
        result=ExecutionWithJournal,
        reads_only=True,
    ),
    Operation(
        function=executions.watch_execution,
        title="Watch an execution",
        description="Follow an execution until it ends or `seconds` are over; each step is told as progress. Where "
        "`has_ended` is false, call it again with `after` set to `seq`.",
        scope=Scope.READ,
        arguments=WatchExecution,
        result=Watched,
        reads_only=True,
        tells=True,
    ),
    Operation(
        function=executions.cancel_execution,
        title="Cancel an execution",
        description="Ask for the end of an execution: a pending one ends at once, a running one when its nodes have "
        "stopped. One that has ended is refused.",
        scope=Scope.RUN,
        arguments=OfExecution,
        result=ExecutionSummary,
        is_destructive=True,
        is_idempotent=True,
    ),
    Operation(
        function=executions.rerun_execution,
        title="Run an execution again",
        description="Start a new execution with the document and input of one that has ended: `start` runs every node, "
        "`failed` keeps what ended well before anything failed.",
        scope=Scope.RUN,
        arguments=RerunExecution,
        result=ExecutionShown,
        is_destructive=True,
        is_open=True,
    ),
    Operation(
        function=executions.list_executions,
        title="List executions",
        description="Find executions that you may see, the newest first, by workflow, status or label.",
        scope=Scope.READ,
        arguments=ListExecutions,
        result=ExecutionPage,
        reads_only=True,
    ),
    Operation(
        function=workflows.list_tools,
        title="List the tools of nodes",
        description="List what a node of type `tool` can call, with the JSON Schema of its inputs and output, and its "
        "effect outside.",
        scope=Scope.READ,
        arguments=Nothing,
        result=ToolPage,
        reads_only=True,
    ),
)
OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}
