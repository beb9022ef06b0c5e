"""The MCP servers whose tools may be called, by the names that the settings give them: values, read from the settings.

Only the settings name programs and addresses. What is made on the site says the name of a server.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.errors import NodeConfigurationError

# Connections to one server from one event loop, unless its entry says otherwise.
SESSIONS = 4
_OF_PROGRAMS = ("command", "environment", "cwd")
_OF_URLS = ("url", "token_env", "token_secret")
_OF_ALL = ("tools", "sessions")
_SERVER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ServerSettingError(NodeConfigurationError):
    """Raised for settings that describe no server. The sentence says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A program that speaks over its standard streams, or an address.

    `environment` are variables of this process that the program gets besides the clean ones. The token for an address
    is in the variable `token_env`, or is the secret `token_secret` of the workflow's owner. `tools` are those that may
    be called; None: all that there are.
    """

    name: str
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    cwd: str = ""
    url: str = ""
    token_env: str = ""
    token_secret: str = ""
    tools: frozenset[str] | None = None
    sessions: int = SESSIONS


def servers_of(setting: object) -> Mapping[str, McpServer]:
    """The servers by name. Raises `ServerSettingError`."""
    if not isinstance(setting, Mapping):
        raise ServerSettingError("It is no mapping of names to servers.")
    found: dict[str, McpServer] = {}
    for name, entry in cast("Mapping[object, object]", setting).items():
        if not isinstance(name, str) or not _SERVER.fullmatch(name):
            raise ServerSettingError(f"{name!r} is no name of a server: use letters, digits, hyphens and underscores.")
        found[name] = _server(name, entry)
    return found


def _server(name: str, entry: object) -> McpServer:
    said = quoted(name)
    if not isinstance(entry, Mapping):
        raise ServerSettingError(f"The server {said} is no mapping with a 'command' or a 'url'.")
    fields = cast("Mapping[str, Any]", entry)
    if ("command" in fields) == ("url" in fields):
        raise ServerSettingError(f"The server {said} must have either a 'command' or a 'url'.")
    known = (*(_OF_PROGRAMS if "command" in fields else _OF_URLS), *_OF_ALL)
    if wrong := [key for key in fields if key not in known]:
        raise ServerSettingError(f"The server {said} has {wrong[0]!r}: it can have {listed(known, 'and')}.")
    tools, sessions = fields.get("tools"), fields.get("sessions", SESSIONS)
    if tools is not None and not _is_texts(tools):
        raise ServerSettingError(f"The 'tools' of the server {said} are no list of names.")
    if type(sessions) is not int or sessions < 1:
        raise ServerSettingError(f"The 'sessions' of the server {said} are no whole number above 0.")
    allowed = None if tools is None else frozenset(cast("list[str]", tools))
    if "command" in fields:
        return McpServer(name=name, tools=allowed, sessions=sessions, **_program(fields, said))
    return McpServer(name=name, tools=allowed, sessions=sessions, **_address(fields, said))


def _program(fields: Mapping[str, Any], said: str) -> dict[str, Any]:
    command, environment, cwd = fields["command"], fields.get("environment", []), fields.get("cwd", "")
    if not _is_texts(command) or not command or not command[0].startswith("/"):
        raise ServerSettingError(
            f"The 'command' of the server {said} must be a list: the absolute path of a program, then its arguments."
        )
    if not _is_texts(environment) or not all(map(_NAME.fullmatch, environment)):
        raise ServerSettingError(
            f"The 'environment' of the server {said} must be a list of names of variables: values are not said here."
        )
    if not isinstance(cwd, str) or (cwd and not cwd.startswith("/")):
        raise ServerSettingError(f"The 'cwd' of the server {said} is no absolute path.")
    return {"command": tuple(command), "environment": tuple(environment), "cwd": cwd}


def _address(fields: Mapping[str, Any], said: str) -> dict[str, Any]:
    if wrong := [key for key in _OF_URLS if not isinstance(fields.get(key, ""), str)]:
        raise ServerSettingError(f"The {wrong[0]!r} of the server {said} is no text.")
    if fields.get("token_env") and fields.get("token_secret"):
        raise ServerSettingError(f"The server {said} has 'token_env' and 'token_secret': keep one of them.")
    for key in ("token_env", "token_secret"):
        if fields.get(key) and not _NAME.fullmatch(fields[key]):
            raise ServerSettingError(f"The {key!r} of the server {said} is no name: the token itself is not said here.")
    if not _is_url(fields["url"]):
        raise ServerSettingError(
            f"The 'url' of the server {said} is no URL: write one such as https://mcp.example.com/mcp, without a user "
            "or a password."
        )
    return {key: fields.get(key, "") for key in _OF_URLS}


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_whole and not (parts.username or parts.password or parts.fragment)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, str) and item and "\0" not in item for item in cast("list[object]", value)
    )


def _none() -> Mapping[str, McpServer]:
    return {}


# Set by the app, so that what is called is what the settings say now.
current: Callable[[], Mapping[str, McpServer]] = _none


def server_named(name: str) -> McpServer:
    """Raises `NodeConfigurationError`."""
    known = current()
    if (server := known.get(name)) is not None:
        return server
    hint = f" Known are {listed(map(quoted, known), 'and')}." if known else ""
    raise NodeConfigurationError(
        f"There is no MCP server {quoted(name)}: only the setting PASTETRADER['MCP_SERVERS'] names servers.{hint}"
    )
