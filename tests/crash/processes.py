"""What the processes of the harness do. They are forked from one that has Django loaded, so that many can die."""

import asyncio
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.crash.preloaded"])


def serve(place, output, concurrency, queues, without, apart):
    """A worker, until it is killed or stopped. One that is apart keeps its lock file where no other engine looks."""
    enter(place, output, "")
    if "fence" in without:
        drop_the_fence()
    if "rates" in without:
        from workflows_app.tools import rates

        rates.current = lambda: {"crash.quote": None}
    if apart:
        tempfile.tempdir = tempfile.mkdtemp(dir=place.folder)
    from executions_app.services.run import close
    from executions_app.services.work import work

    print("ready", flush=True)
    try:
        asyncio.run(work(concurrency, queues))
    finally:
        close()


def command(place, output, strikes, arguments):
    """A command; it exits with the command's code."""
    enter(place, output, strikes)
    from django.core.management import ManagementUtility

    ManagementUtility(["manage.py", *arguments]).execute()


def accept(place, output, name, count, key, pause):
    """Accept runs of an imported workflow, so many seconds apart, and print their ids."""
    enter(place, output, "")
    from executions_app.services.start import StartRequest, start
    from workflows_app.services.lookup import find

    workflow = find(name)
    for _ in range(count):
        print(start(StartRequest(target=workflow, input={}, idempotency_key=key)).execution.id, flush=True)
        time.sleep(pause)


def enter(place, output, strikes):
    """Take the place of a process of its own: its database, its ledger, its output, its fate."""
    import environ
    from django.conf import settings
    from django.db import connections
    from django.db.backends.signals import connection_created

    chosen = environ.Env.db_url_config(place.url)
    configured = connections.settings["default"]
    configured["NAME"] = chosen["NAME"]
    configured["OPTIONS"] = configured["OPTIONS"] | chosen.get("OPTIONS", {})
    settings.PASTETRADER |= place.settings
    # Of modules that a test wrote.
    sys.path.append(str(place.folder))
    # For processes that are started from here.
    os.environ["DATABASE_URL"] = place.url
    os.environ["CRASH_LEDGER"] = str(place.ledger)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        _ = os.dup2(descriptor, stream)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _strike_at(strikes)
    if place.full is not None:
        limited = _limited_by(place.full)
        connection_created.connect(lambda connection, **_: connection.execute_wrappers.append(limited), weak=False)


def _limited_by(full):
    """While the file `full` exists an SQLite database has no page more than it says there."""

    def limited(execute, sql, params, many, context):
        limit = full.read_text() if full.exists() else 1 << 30
        context["connection"].connection.execute(f"PRAGMA max_page_count = {limit}")
        return execute(sql, params, many, context)

    return limited


def _strike_at(strikes):
    """`claim:after:kill:2 write:before:lose:1`: at the second end of a claim's commit die, and so on."""
    from django.db import OperationalError

    from executions_app.models import commits

    planned = {}
    for strike in strikes.split():
        name, moment, act, number = strike.split(":")
        planned[name, moment] = [act, int(number)]

    def strike(name, moment):
        plan = planned.get((name, moment))
        if plan is None:
            return
        plan[1] -= 1
        if plan[1]:
            return
        match plan[0]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "lose":
                raise OperationalError("the connection was lost")
            case "break":
                raise RuntimeError("this batch cannot be written")

    commits.strike = strike


def drop_the_fence():
    """For the control: a record that takes what an owner of the past writes."""
    from executions_app.models import querysets
    from executions_app.models.bulk import ManyRows

    def free(sql):
        sql = re.sub(r"\S+\.fence = v\.fence AND \S*status = 'running'", "1 = 1", sql)
        sql = sql.replace("JOIN v USING (id, fence)", "JOIN v USING (id)").replace("WHERE e.status = 'running'", "")
        # What has ended may begin and end again.
        return re.sub(r" AND \S+\.(status IN \('pending', 'running'\)|outcome = 'started')", "", sql)

    nodes = ("NODE_STARTED", "NODE_SETTLED", "NODE_STARTED_AND_SETTLED", "NODE_RETRYING")
    for name in ("LOCK_AND_NUMBER", "END", "ATTEMPT_ENDED", *nodes):
        fenced = getattr(querysets, name)
        unfenced = ManyRows(one=free(fenced.one), many=free(fenced.many))
        assert unfenced.one != fenced.one
        assert unfenced.many != fenced.many
        setattr(querysets, name, unfenced)
    # And nobody notices a loss.
    querysets.is_owned = lambda *_: True
