"""People who work in the admin, with a browser that keeps its cookies and runs nothing."""

from collections.abc import Iterable
from html import unescape
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from workflows_app.models import Workflow, WorkflowShare

WORKFLOWS = "/admin/workflows_app/workflow/"
# All that whoever works with workflows may have.
EVERYDAY = (
    "view_workflow", "add_workflow", "change_workflow", "delete_workflow",
    "view_workflowexecution", "add_workflowexecution", "change_workflowexecution",
)  # fmt: skip


def browser_of(user: Any, permissions: Iterable[str] = EVERYDAY) -> Client:
    """A session of a user, who is made staff with these permissions of the models."""
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def member(username: str, workflow: Workflow, role: str) -> Any:
    """A user in a group with which a workflow is shared."""
    user = get_user_model().objects.create_user(username)
    group, _ = Group.objects.get_or_create(name=f"{role}s")
    user.groups.add(group)
    _ = WorkflowShare.objects.get_or_create(workflow=workflow, group=group, defaults={"role": role})
    return user


def page_of(workflow: Workflow, page: str = "change") -> str:
    return f"{WORKFLOWS}{workflow.pk}/{page}/"


def told(response: Any) -> list[str]:
    """The messages on a page, as text without tags."""
    return [str(message) for message in response.context["messages"]]


def text_of(response: Any) -> str:
    """A page as its source has it, with entities as the characters that they are."""
    return unescape(response.content.decode())
