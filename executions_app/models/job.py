"""One attempt of a node that waits for another process, or is under way there."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from executions_app.models.execution import WorkflowExecution


class JobState(StrEnum):
    # For a worker of its queue.
    WAITING = "waiting"
    # A worker has it, and a lease.
    TAKEN = "taken"
    # The worker said what became of it.
    DONE = "done"
    # Its engine wants it to stop, and takes no word of it any more.
    WITHDRAWN = "withdrawn"
    # It has stopped.
    STOPPED = "stopped"


class NodeJob(models.Model):
    """A row for as long as the attempt is under way; it has nothing of the node's input, and no secrets."""

    attempt_id: models.CharField[str, str] = models.CharField(max_length=40, primary_key=True)
    # As in NodeExecution: no constraint in the database.
    execution: models.ForeignKey[WorkflowExecution, WorkflowExecution] = models.ForeignKey(
        WorkflowExecution, on_delete=models.CASCADE, related_name="jobs", db_constraint=False
    )
    # The fence of the engine that waits for it.
    fence: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    # Of the NodeExecution that it is an attempt of.
    order: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    item: models.IntegerField[int, int] = models.IntegerField(default=-1)
    number: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    retry_count: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    first_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    queue: models.CharField[str, str] = models.CharField(max_length=60)
    # That of the execution.
    priority: models.SmallIntegerField[int, int] = models.SmallIntegerField(default=0)
    posted_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    deadline: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    state: models.CharField[str, str] = models.CharField(max_length=10, choices=[(one, one) for one in JobState])
    claimed_by: models.CharField[str, str] = models.CharField(max_length=200, blank=True, default="")
    lease_until: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    # JSON text of a `Report`; of journal lines that the engine may not have heard yet, of which so many came before;
    # and how many it has heard.
    outcome: models.TextField[str, str] = models.TextField(blank=True, default="")
    lines: models.TextField[str, str] = models.TextField(blank=True, default="")
    told: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    heard: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = gettext_lazy("node job")
        verbose_name_plural = gettext_lazy("node jobs")
        ordering = ["attempt_id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=[str(state) for state in JobState]), name="node_job_valid_state"
            ),
        ]
        indexes = [
            models.Index(
                fields=["-priority", "attempt_id"], condition=models.Q(state="waiting"), name="node_jobs_waiting"
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.attempt_id
