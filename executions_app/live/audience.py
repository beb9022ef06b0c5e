"""Who listens in this process, so that a process without listeners does nothing for them."""

import asyncio
import threading
import uuid
from collections import Counter


class Audience:
    """Listeners of this process, in one event loop; counted from there, looked at from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executions: Counter[uuid.UUID | None] = Counter()
        self.loop: asyncio.AbstractEventLoop | None = None
        # Open sockets.
        self.sockets = 0

    def wants(self, execution_id: uuid.UUID) -> bool:
        """Whether anybody follows this execution, or all."""
        listened = self._executions
        return bool(listened) and (execution_id in listened or None in listened)

    def join(self, execution_id: uuid.UUID | None) -> None:
        """Somebody follows an execution from now on, or with None all of them. In the listeners' event loop."""
        with self._lock:
            self.loop = asyncio.get_running_loop()
            self._executions[execution_id] += 1

    def leave(self, execution_id: uuid.UUID | None) -> None:
        with self._lock:
            self._executions[execution_id] -= 1
            if self._executions[execution_id] <= 0:
                del self._executions[execution_id]


audience = Audience()
