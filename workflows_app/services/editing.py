"""Workflows made, replaced, changed, copied and deleted by their users: permission, change, audit.

Every change of an existing workflow says which version it is of. Of two that are made for the same version one
succeeds: the first statement of each locks the row and checks the version at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import F

from workflows_app.dag import jsontext
from workflows_app.dag.problems import Problem, errors_of
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.models import Workflow, WorkflowShare
from workflows_app.models.access import Role, Verb
from workflows_app.services.access import demand
from workflows_app.services.audit import audit, audit_name
from workflows_app.services.documents import Saved, Source, checked, document_of, problems_of, save, write
from workflows_app.services.errors import (
    InvalidDefinition,
    NameTaken,
    UnknownGroups,
    VersionConflict,
    WorkflowNotFoundError,
)
from workflows_app.services.uniqueness import unique_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Who changes which workflow; `version` is the one that the change was made for, None for whichever there is."""

    workflow: Workflow
    user: User
    version: int | None


def create(source: Source, owner: User) -> Workflow:
    """A new workflow. Raises `InvalidDefinition` and `NameTaken`; then nothing is saved."""
    document = checked(source)
    workflow = Workflow(owner=owner, name=cast(str, document["name"]))
    with unique_name(NameTaken(workflow.name)):
        write(workflow, document)
        audit(owner, "workflow.created", workflow)
    return workflow


def put(source: Source, owner: User, *, may_replace: bool = True) -> tuple[Workflow, Saved]:
    """The owner's workflow of the document's name, made or, whatever its version, replaced.

    Raises `InvalidDefinition`, and `NameTaken` where it may not replace one; then nothing is saved.
    """
    document = checked(source)
    with unique_name(NameTaken(cast(str, document["name"]))):
        workflow, saved = save(source, owner)
        if saved is Saved.CREATED:
            audit(owner, "workflow.created", workflow)
        elif saved is Saved.UPDATED and may_replace:
            audit(owner, "workflow.replaced", workflow, {"version": workflow.version})
        elif saved is Saved.UPDATED:
            # It takes back what was saved.
            raise NameTaken(workflow.name)
    return workflow, saved


def replace(edit: Edit, source: Source) -> Workflow:
    """The workflow with another document; an identical one changes nothing.

    Raises `Forbidden`, `InvalidDefinition`, `VersionConflict`, `NameTaken`; then nothing is saved.
    """
    demand(edit.user, Verb.EDIT, edit.workflow)
    document = checked(source)
    with unique_name(NameTaken(cast(str, document["name"]))):
        workflow = locked(edit)
        if jsontext.dumps(document_of(workflow)) == jsontext.dumps(document):
            return workflow
        workflow.name = cast(str, document["name"])
        workflow.version += 1
        write(workflow, document)
        audit(edit.user, "workflow.replaced", workflow, {"version": workflow.version})
    return workflow


def change(edit: Edit, fields: Mapping[str, JsonValue], *, is_active: bool | None = None) -> Workflow:
    """The workflow with other values of these keys of its document, and switched on or off.

    Raises what `replace` raises; only what these keys bring about is refused.
    """
    demand(edit.user, Verb.EDIT, edit.workflow)
    with unique_name(NameTaken(str(fields.get("name")))):
        workflow = locked(edit)
        before = document_of(workflow)
        # New keys come before the nodes, as people write them.
        document = {**{key: before[key] for key in before if key not in _PARTS}, **fields}
        document |= {key: before[key] for key in _PARTS}
        if document == before and is_active in (None, workflow.is_active):
            return workflow
        problems = refuse_new(problems_in(before), problems_in(document))
        workflow.head = {key: [] if key in _PARTS else value for key, value in document.items()}
        workflow.name = cast(str, document["name"])
        workflow.description = cast(str, document.get("description", ""))
        workflow.labels = cast("list[str]", document.get("labels", []))
        workflow.is_active = workflow.is_active if is_active is None else is_active
        save_next_version(workflow, problems)
        changed: list[JsonValue] = [*fields, *([] if is_active is None else ["is_active"])]
        audit(edit.user, "workflow.changed", workflow, {"version": workflow.version, "fields": changed})
    return workflow


def delete(edit: Edit) -> None:
    """Delete the workflow; its executions stay. Raises `Forbidden` and `VersionConflict`."""
    demand(edit.user, Verb.DELETE, edit.workflow)
    with transaction.atomic():
        workflow = locked(edit)
        deleted: JsonObject = {"name": workflow.name, "version": workflow.version}
        _ = workflow.delete()
        # Last, as in all transactions: entries are appended one at a time.
        audit_name(edit.user, "workflow.deleted", "workflow", str(edit.workflow.pk), deleted)


def duplicate(workflow: Workflow, user: User, name: str | None = None) -> Workflow:
    """A copy that belongs to the user, by default as NAME-copy, NAME-copy-2 and so on.

    Raises `Forbidden`, `NameTaken`, and `InvalidDefinition` for a name that is none.
    """
    demand(user, Verb.READ, workflow)
    chosen = _free_name(workflow.name, user) if name is None else name
    document = {**document_of(workflow), "name": chosen}
    # What is wrong with the original is wrong with its copy.
    problems = refuse_new(problems_in(document_of(workflow)), problems_in(document))
    copy = Workflow(owner=user, name=chosen)
    with unique_name(NameTaken(chosen)):
        write(copy, document)
        copy.problems = stored(problems)
        copy.save(update_fields=["problems"])
        audit(user, "workflow.created", copy, {"duplicate_of": str(workflow.pk)})
    return copy


def share(edit: Edit, roles: Mapping[str, Role]) -> None:
    """Share the workflow with these groups, by name, and no others. Raises `Forbidden` and `UnknownGroups`."""
    demand(edit.user, Verb.SHARE, edit.workflow)
    groups = {group.name: group for group in Group.objects.filter(name__in=roles)}
    unknown = sorted(set(roles) - set(groups))
    if unknown:
        raise UnknownGroups(unknown)
    with transaction.atomic():
        workflow = locked(edit)
        _ = workflow.shares.all().delete()
        _ = WorkflowShare.objects.bulk_create(
            WorkflowShare(workflow=workflow, group=groups[name], role=role) for name, role in roles.items()
        )
        audit(edit.user, "workflow.shared", workflow, {"roles": {name: str(role) for name, role in roles.items()}})


def locked(edit: Edit) -> Workflow:
    """The workflow as it is, locked until the end of the transaction. Raises `VersionConflict`."""
    rows = Workflow.objects.filter(pk=edit.workflow.pk)
    wanted = rows if edit.version is None else rows.filter(version=edit.version)
    if wanted.update(version=F("version")):
        return rows.select_related("owner").get()
    present = rows.first()
    if present is None:
        raise WorkflowNotFoundError(edit.workflow.pk)
    raise VersionConflict(present.version)


def problems_in(document: JsonObject) -> list[Problem]:
    return problems_of(Source(document=document, line_of=lambda _path: None))


def refuse_new(before: Sequence[Problem], after: list[Problem]) -> list[Problem]:
    """What is wrong after a change. Raises `InvalidDefinition` where the change brought an error."""
    known = frozenset(before)
    new = [problem for problem in errors_of(after) if problem not in known]
    if new:
        raise InvalidDefinition(new)
    return after


def stored(problems: Sequence[Problem]) -> JsonValue:
    """Problems as a workflow keeps them: those that keep it from being run. Warnings are told when it is validated."""
    return cast(JsonValue, [problem.as_json() for problem in errors_of(problems)])


def save_next_version(workflow: Workflow, problems: Sequence[Problem]) -> None:
    workflow.version += 1
    workflow.problems = stored(problems)
    workflow.save()


_PARTS = ("nodes", "edges")


def _free_name(name: str, owner: User) -> str:
    base = f"{name[:180]}-copy"
    taken = set(Workflow.objects.filter(owner=owner, name__startswith=base).values_list("name", flat=True))
    number = 1
    while (free := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return free
