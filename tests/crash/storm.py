"""Workers that are killed, stopped and told to end while they work."""

import os
import signal
import time

from tests.crash.world import EXECUTIONS

# Of the harness's settings.
LEASE_SECONDS = 3.0


class Storm:
    """Keeps some workers at work, and strikes them."""

    def __init__(self, world, random, server):
        self.world = world
        self.random = random
        self.server = server
        self.workers = [world.worker(concurrency=8) for _ in range(3)]
        # When each stopped process is to go on.
        self.stopped = {}

    def strike(self, act):
        self.wake()
        if act == "crash":
            if self.server is not None:
                self.server.restart("immediate")
            return
        worker = self.random.choice(self.workers)
        self.workers.remove(worker)
        if act == "kill":
            os.kill(worker.pid, signal.SIGKILL)
        elif act == "term":
            os.kill(worker.pid, signal.SIGTERM)
        else:
            os.kill(worker.pid, signal.SIGSTOP)
            self.stopped[worker.pid] = time.monotonic() + LEASE_SECONDS * self.random.uniform(0.3, 1.8)
        self.workers.append(self.world.worker(concurrency=8))

    def wake(self, *, all_of_them=False):
        """Let those go on whose time has come. They find that their runs are not theirs any more; then they end."""
        for pid, at in list(self.stopped.items()):
            if all_of_them or time.monotonic() >= at:
                del self.stopped[pid]
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)

    def rage(self, acts, executions):
        """Strike so often while so many runs are accepted; until all of them have ended."""
        self.random.shuffle(acts)
        world = self.world
        accepting = world.accept("busy", executions, pause=0.15 * len(acts) / executions)
        for act in acts:
            time.sleep(self.random.uniform(0.05, 0.25))
            self.strike(act)
        self.wake(all_of_them=True)
        for _ in range(5):
            accepting.join(60)
            accepted = len(world.rows(f"SELECT 1 FROM {EXECUTIONS}"))
            if accepted == executions:
                break
            # A database that crashed, or was locked for long, has ended it: what was refused is asked for again.
            accepting = world.accept("busy", executions - accepted)
        assert accepted == executions, world.output(accepting)
        world.all_over(accepted, seconds=90)
