"""People who use the admin, and what its pages say."""

import re
from html import unescape
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from workflows_app.models import Workflow, WorkflowShare
from workflows_app.models.access import Role

LIST = "/admin/executions_app/workflowexecution/"
# What a model's permissions of Django are called for executions.
VIEW, CANCEL, RERUN, SYSTEM = (
    "view_workflowexecution", "change_workflowexecution", "add_workflowexecution", "view_system",
)  # fmt: skip


def staff(name: str, *permissions: str, shared: Workflow | None = None, role: Role = Role.VIEWER) -> Any:
    """A member of the staff with these permissions, for whose group a workflow may be shared."""
    users: Any = get_user_model()
    user = users.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    if shared is not None:
        group = Group.objects.create(name=f"{name}'s")
        user.groups.add(group)
        WorkflowShare.objects.create(workflow=shared, group=group, role=role)
    return user


def superuser(name: str = "root") -> Any:
    users: Any = get_user_model()
    return users.objects.create_superuser(name, password=None)


def browser(user: Any) -> Client:
    """Somebody's browser, logged in; cross-site requests are refused as they are in use."""
    client = Client()
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    """What stands on a page, in one line."""
    body = re.sub(r"<(script|style|template)\b.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def told(response: Any) -> list[str]:
    """The messages of a page."""
    return [str(message) for message in response.context["messages"]]


def ids_of(response: Any) -> list[str]:
    """The executions that a list shows, in its order."""
    return re.findall(r'data-execution="([0-9a-f-]{36})"', response.content.decode())
