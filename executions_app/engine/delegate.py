"""One attempt for an engine elsewhere: the same steps over the same data, and nothing but that.

Its start is on record already, and its end is the other engine's to write. Journal lines go to the sink.
"""

from collections.abc import Mapping

from executions_app.engine.attempt import AttemptStart, Cancelled, Failed, Lost, Succeeded
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.elsewhere import Report
from executions_app.engine.frontier import Frontier
from executions_app.engine.lifecycle import Lifecycle
from executions_app.engine.ports import Ports, Sink
from executions_app.engine.progress import Progress
from executions_app.engine.settling import Settler
from workflows_app.dag.types import NodeType
from workflows_app.processors.base import Processor


class Delegate:
    """Runs one attempt; `ports` have no `remote`. What came before the node is in `progress`."""

    def __init__(
        self,
        context: ExecutionContext,
        progress: Progress,
        *,
        processors: Mapping[NodeType, Processor],
        sink: Sink,
        ports: Ports,
    ) -> None:
        self._cancel = CancelToken()
        frontier = Frontier(context.plan)
        context.follow(frontier.edge_states)
        Settler(context, frontier, ports, self._cancel).restore(progress)
        self._lifecycle = Lifecycle(context, processors, sink, ports, self._cancel)
        # Nothing of the attempt's code goes on, as far as that is known.
        self.is_over = True

    def stop(self) -> None:
        """Tell the attempt to end, as a cancel does."""
        self._cancel.request()
        for attempt in tuple(self._lifecycle.under_way.values()):
            attempt.cancel()

    async def run(self, node: int, start: AttemptStart) -> Report | None:
        """What became of it; None where it was told to end."""
        outcome, measures = await self._lifecycle.attempt(node, start)
        match outcome:
            case Succeeded(output, found_done):
                return Report(ending="succeeded", output=output, found_done=found_done, measures=measures)
            case Failed():
                self.is_over = not outcome.let_go
                return Report(
                    ending="failed",
                    error=outcome.error,
                    reason=outcome.reason,
                    let_go=outcome.let_go,
                    measures=measures,
                )
            case Cancelled():
                self.is_over = not outcome.let_go
                return None
            case Lost():
                raise AssertionError("An attempt that runs here is nobody else's to lose.")
