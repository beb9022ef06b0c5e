"""What processes of these tests do besides working: they accept runs, in ways that the crash tests have no use for."""

import time

from tests.crash.processes import enter


def accept(place, output, name, number, asked):
    """Accept so many runs of a workflow, as asked for, and print their ids.

    Of what is asked `user` is a name, `rolled_back` takes everything back in the end, and `words` is how often the
    dispatcher is told of each besides.
    """
    enter(place, output, "")
    from django.contrib.auth.models import User
    from django.db import transaction

    from executions_app.dispatch.base import Job
    from executions_app.dispatch.chosen import send
    from executions_app.services.start import StartRequest, start
    from workflows_app.services.lookup import find

    asked = dict(asked)
    rolled_back, words = asked.pop("rolled_back", False), asked.pop("words", 0)
    if "user" in asked:
        asked["user"], _ = User.objects.get_or_create(username=asked["user"], is_superuser=True)
    workflow = find(name)
    with transaction.atomic():
        for _ in range(number):
            run = start(StartRequest(target=workflow, input={}, **asked)).execution
            for _ in range(words):
                send(Job(run.id, run.queue, run.priority))
            print(run.id, flush=True)
        transaction.set_rollback(rolled_back)


def time_commits(place, output, name, number, pause):
    """Accept runs one after the other, and print for each its id and when its commit had returned."""
    enter(place, output, "")
    from executions_app.models import commits
    from executions_app.services.start import StartRequest, start
    from workflows_app.services.lookup import find

    ends = []

    def strike(what, moment):
        if (what, moment) == ("start", "after"):
            ends.append(time.time())

    commits.strike = strike
    workflow = find(name)
    for _ in range(number):
        print(start(StartRequest(target=workflow, input={})).execution.id, ends[-1], flush=True)
        time.sleep(pause)


def own_worker(place, output, arguments):
    """The dispatcher's own worker, as a team has it already: `manage.py procrastinate worker`, or Celery's."""
    enter(place, output, "")
    if place.settings["DISPATCH"] == "celery":
        from executions_app.dispatch.celery import celery_app

        celery_app().worker_main(["worker", "--loglevel", "WARNING", *arguments])
    else:
        from django.core.management import ManagementUtility

        from executions_app.dispatch.chosen import dispatcher

        # `executions_app.tasks` does so, where the settings are there before the apps.
        _ = dispatcher()
        ManagementUtility(["manage.py", "procrastinate", "worker", *arguments]).execute()
