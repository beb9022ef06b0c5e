"""Tools of an MCP server as tools of the site: looked at, imported, imported again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.utils.translation import gettext as _

from workflows_app.conf import current_servers
from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject
from workflows_app.models import ConfiguredTool
from workflows_app.models.site import MAX_NAME_LENGTH
from workflows_app.services.errors import DefinitionError, McpServerUnusable
from workflows_app.services.secrets import resolver_for
from workflows_app.services.site import Edit
from workflows_app.services.tools import SHELF, Recipe, change, create, mistakes_of, recipe_of
from workflows_app.tools.errors import NodeError
from workflows_app.tools.mcp import call
from workflows_app.tools.mcp.servers import McpServer, server_named
from workflows_app.tools.registry import is_tool_name, registry

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from workflows_app.tools.masking import Mask
    from workflows_app.tools.mcp.listing import ServerTool

# What an imported tool calls its kind with besides the server and the tool: all that its node gives.
_GIVEN = "${{ input }}"
# Of a description so many characters are kept: it goes to models.
_DESCRIPTION = 4000


class State(StrEnum):
    """What an import would do, or has done."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    # The server has it no more: it is switched off.
    GONE = "gone"
    # It cannot be a tool of the site as it is.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One tool of a server. `name` is that of the tool of the site, `sentence` what there is to say about it."""

    tool: str
    name: str
    state: State
    description: str = ""
    hints: Sequence[str] = ()
    sentence: str = ""
    recipe: Recipe | None = None
    row: ConfiguredTool | None = None

    @property
    def mark(self) -> str:
        """The same while an import would make the same of it."""
        return hashlib.sha256(jsontext.dumps(self.recipe).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to import: these tools of the server, None: all of them, under names that begin with `prefix` and a dot.

    Without an effect new ones have that of `mcp.call`, and those that are there keep theirs.
    """

    server: str
    tools: Sequence[str] | None = None
    prefix: str = ""
    effect: str | None = None
    # Marks of what was looked at, by tool: nothing else is imported. None: nobody has looked.
    seen: Mapping[str, str] | None = None


def server_names() -> list[str]:
    """The servers of the settings."""
    return sorted(current_servers())


def look(wish: Wish, user: User | None, *, secrets_of: User | None = None) -> list[Found]:
    """What an import would do; nothing is changed. The server is started, or asked, for it.

    `secrets_of` is whose secret the token is, where it is one. Raises `ToolPermission`, `McpServerUnusable`,
    `SecretNotFound` and the other errors of secrets.
    """
    SHELF.demand(user, "add")
    SHELF.demand(user, "change")
    try:
        server = server_named(wish.server)
        token = _token(server, secrets_of)
        mask = call.mask_of(server, token)
        try:
            tools = _listed(server, token)
        except NodeError as error:
            raise McpServerUnusable(mask.text(str(error))) from None
    except NodeError as error:
        raise McpServerUnusable(str(error)) from error
    return [*_found(wish, server, tools, mask)]


def import_tools(wish: Wish, user: User | None, *, secrets_of: User | None = None) -> list[Found]:
    """Make and change tools of the site, and switch off those that are gone. Raises what `look` raises."""
    return [_done(_as_seen(one, wish), user) for one in look(wish, user, secrets_of=secrets_of)]


def _as_seen(found: Found, wish: Wish) -> Found:
    if wish.seen is None or found.state is State.REFUSED or wish.seen.get(found.tool) == found.mark:
        return found
    return replace(found, state=State.REFUSED, sentence=_("It has changed since you looked: look again."))


def _done(found: Found, user: User | None) -> Found:
    try:
        match found.state:
            case State.NEW:
                assert found.recipe is not None
                _ = create(found.recipe, user)
            case State.CHANGED | State.GONE:
                assert found.row is not None
                _ = change(Edit(row=found.row, user=user, version=found.row.version), _changes(found))
            case State.SAME | State.REFUSED:
                pass
    except DefinitionError as error:
        return replace(found, state=State.REFUSED, sentence=str(error))
    return found


def _changes(found: Found) -> Mapping[str, Any]:
    if found.recipe is None:
        return {"is_active": False}
    own = ("description", "configuration", "input_schema", "output_schema", "effect")
    return {name: getattr(found.recipe, name) for name in own}


def _token(server: McpServer, owner: User | None) -> str:
    given = ""
    if server.token_secret:
        resolve = resolver_for(None if owner is None else owner.pk)
        given = resolve([server.token_secret])[server.token_secret]
    return call.token_of(server, given)


def _listed(server: McpServer, token: str) -> Mapping[str, ServerTool]:
    from workflows_app.tools.log_masking import in_use  # noqa: PLC0415 - only who has a key needs it
    from workflows_app.tools.mcp import sessions  # noqa: PLC0415 - loads a large package

    sessions.load()
    with in_use(call.mask_of(server, token)):
        return async_to_sync(sessions.tools_of)(sessions.Door(server, token))


def _found(wish: Wish, server: McpServer, tools: Mapping[str, ServerTool], mask: Mask) -> Iterable[Found]:
    rows = _rows(server.name)
    names = _Names(wish.prefix or _spelled(server.name))
    known = {row.name for row in rows.values()}
    for name, tool in tools.items():
        if (wish.tools is None or name in wish.tools) and _is_allowed(server, name):
            row = rows.get(name)
            yield _of_tool(wish, server, tool, row, row.name if row else names.new(name, known), mask)
    for name in rows if wish.tools is None else wish.tools:
        if name in tools and _is_allowed(server, name):
            continue
        if (row := rows.get(name)) is not None:
            yield _gone(name, row)
        else:
            sentence = _("The server has no such tool, or the settings do not allow it.")
            yield Found(tool=name, name="", state=State.REFUSED, sentence=sentence)


def _is_allowed(server: McpServer, tool: str) -> bool:
    return server.tools is None or tool in server.tools


def _gone(tool: str, row: ConfiguredTool) -> Found:
    if not row.is_active:
        return Found(tool=tool, name=row.name, state=State.SAME, row=row, sentence=_("It is switched off."))
    sentence = _("The server has it no more: workflows that use it do not start.")
    return Found(tool=tool, name=row.name, state=State.GONE, row=row, sentence=sentence)


def _of_tool(
    wish: Wish, server: McpServer, tool: ServerTool, row: ConfiguredTool | None, name: str, mask: Mask
) -> Found:
    found = Found(
        tool=tool.name,
        name=name,
        state=State.NEW,
        description=mask.text(tool.description)[:_DESCRIPTION],
        hints=tool.hints,
        row=row,
    )
    if any(mask.value(schema) is not schema for schema in (tool.input_schema, tool.output_schema)):
        return replace(found, state=State.REFUSED, sentence=_("Its schema has a key that the server was given."))
    recipe = _recipe(wish, server, tool, found)
    if row is None:
        if problems := mistakes_of(recipe):
            sentence = " ".join(f"{one.field}: {one.message}" for one in problems[:3])
            return replace(found, state=State.REFUSED, sentence=sentence)
        return replace(found, recipe=recipe)
    if row.configuration.get("arguments") != _GIVEN:
        same = row.configuration.get("digest") in (None, tool.digest)
        told = _("Its configuration was changed by hand, and its digest is %(digest)s now.") % {"digest": tool.digest}
        return replace(found, state=State.SAME if same else State.REFUSED, sentence="" if same else told)
    recipe = replace(recipe, is_active=row.is_active, effect=wish.effect or row.effect)
    is_same = jsontext.dumps(recipe) == jsontext.dumps(recipe_of(row))
    sentence = "" if row.is_active else _("It is switched off.")
    return replace(found, state=State.SAME if is_same else State.CHANGED, recipe=recipe, sentence=sentence)


def _recipe(wish: Wish, server: McpServer, tool: ServerTool, found: Found) -> Recipe:
    token = f"${{{{ secrets.{server.token_secret} }}}}" if server.token_secret else ""
    configuration: JsonObject = {
        "server": server.name,
        "tool": tool.name,
        "digest": tool.digest,
        # Stated also where there is none: otherwise an input of this name would be one.
        "token": token,
        "arguments": _GIVEN,
    }
    return Recipe(
        name=found.name,
        kind=call.NAME,
        description=found.description,
        configuration=configuration,
        input_schema=_undated(tool.input_schema),
        output_schema=None if tool.output_schema is None else _undated(tool.output_schema),
        effect=wish.effect,
    )


def _undated(schema: JsonObject) -> JsonObject:
    """Without the word for another version of JSON Schema: what differs between them is seldom used."""
    return {key: value for key, value in schema.items() if key != "$schema"}


def _rows(server: str) -> Mapping[str, ConfiguredTool]:
    """The tools of the site that were made of a server's, by their names there."""
    rows = ConfiguredTool.objects.filter(kind=call.NAME).order_by("name")
    return {str(row.configuration.get("tool")): row for row in rows if row.configuration.get("server") == server}


@dataclass(slots=True)
class _Names:
    """Names of tools of the site, each given once."""

    prefix: str
    _given: set[str] = field(default_factory=set[str])

    def new(self, tool: str, known: set[str]) -> str:
        base = f"{self.prefix}.{_spelled(tool)}"[: MAX_NAME_LENGTH - 3]
        name, count = base, 1
        while name in self._given or name in known or (name in registry and is_tool_name(name)):
            count += 1
            name = f"{base}_{count}"
        self._given.add(name)
        return name


def _spelled(name: str) -> str:
    """A name in lower case: `findCustomer`, `find-customer` and `find.customer` are `find_customer`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")
    return plain if plain and plain[0].isalpha() else f"t_{plain}".rstrip("_")
