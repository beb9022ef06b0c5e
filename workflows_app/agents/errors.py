"""What can go wrong between an agent node and its model. The names of the classes are what retry policies see."""

from typing import ClassVar

from workflows_app.tools.errors import NodeExecutionError, Permanent, Retryable


class ModelBusy(Retryable):
    """Raised when the provider wants fewer requests (429)."""

    code: ClassVar[str] = "model_busy"
    # Whether the request certainly used nothing.
    used_nothing: bool = True


class ModelUnavailable(Retryable):
    """Raised when the provider cannot be reached, fails by its own fault (5xx), or lets one request wait too long."""

    code: ClassVar[str] = "model_unavailable"
    used_nothing: bool = False
    # Whether nobody knows what became of the request: there was no answer, or not all of it.
    unanswered: bool = True


class ModelRefused(Permanent):
    """Raised when the provider refuses the request (4xx): a wrong key, an unknown model, no money left."""

    code: ClassVar[str] = "model_refused"
    used_nothing: bool = True


class ModelAnswerError(NodeExecutionError):
    """Raised when what comes back is no answer of a model."""

    code: ClassVar[str] = "model_answer"


class AgentLimitExceeded(Permanent):
    """Raised when a node has used up what its `limits` allow."""

    code: ClassVar[str] = "limit_exceeded"


class BudgetExceeded(AgentLimitExceeded):
    """Raised where a request would take the node or the execution over what it may use; it is not sent."""

    code: ClassVar[str] = "budget_exceeded"
