"""The services that agent nodes may ask, by the names that workflows use for them: a value, read from the settings."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast
from urllib.parse import urlsplit

from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.errors import NodeConfigurationError


class Kind(StrEnum):
    """The language that a provider speaks."""

    # Of nobody: the answers are made here.
    SCRIPTED = "scripted"
    # OpenAI's, and of most others.
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


# The provider of the demo, and what a node calls its model there: both are the site's choice.
DEFAULT = "default"
# Where a provider is that says nothing else, and the variable of the environment that has its key.
_PLACES: Mapping[Kind, tuple[str, str]] = {
    Kind.SCRIPTED: ("", ""),
    Kind.OPENAI: ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    Kind.ANTHROPIC: ("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
}
_KEYS = ("kind", "base_url", "api_key_env", "api_key_secret", "model", "stream")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ProviderSettingError(NodeConfigurationError):
    """Raised for settings that describe no provider. The sentence says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where models are asked, and whose key pays for it; without a key none is sent.

    The key is in the variable `api_key_env` of the environment, or is the secret `api_key_secret` of the workflow's
    owner. `model` is what nodes mean by the model `default`. With `stream` answers are read as they come.
    """

    name: str
    kind: Kind
    base_url: str = ""
    api_key_env: str = ""
    api_key_secret: str = ""
    model: str = ""
    stream: bool = True


def providers_of(setting: object, default: str = "") -> Mapping[str, Provider]:
    """The providers by name: those of the setting, `scripted`, and `default`, which is scripted unless a text says so.

    Raises `ProviderSettingError`.
    """
    if not isinstance(setting, Mapping):
        raise ProviderSettingError("It is no mapping of names to providers.")
    found = {name: Provider(name=name, kind=Kind.SCRIPTED, model="scripted") for name in ("scripted", DEFAULT)}
    if default:
        found[DEFAULT] = provider_of_text(default)
    for name, entry in cast("Mapping[object, object]", setting).items():
        if not isinstance(name, str) or not name:
            raise ProviderSettingError(f"{name!r} is no name of a provider.")
        found[name] = _provider(name, entry)
    return found


def provider_of_text(text: str) -> Provider:
    """The provider `default` of a text: `scripted`, `openai:MODEL`, `anthropic:MODEL` or `openai:MODEL@URL`.

    Raises `ProviderSettingError`.
    """
    if text == "scripted":
        return Provider(name=DEFAULT, kind=Kind.SCRIPTED, model="scripted")
    kind, _, rest = text.partition(":")
    model, _, url = rest.partition("@http")
    if kind not in ("openai", "anthropic") or not model:
        raise ProviderSettingError(
            "It says no provider: write scripted, openai:MODEL, anthropic:MODEL or openai:MODEL@URL."
        )
    return _provider(DEFAULT, {"kind": kind, "model": model, **({"base_url": f"http{url}"} if url else {})})


def _provider(name: str, entry: object) -> Provider:
    said = quoted(name)
    if not isinstance(entry, Mapping):
        raise ProviderSettingError(f"The provider {said} is no mapping with a 'kind'.")
    fields = cast("Mapping[object, object]", entry)
    if wrong := [key for key in fields if key not in _KEYS]:
        raise ProviderSettingError(f"The provider {said} has {wrong[0]!r}: it can have {listed(_KEYS, 'and')}.")
    if not isinstance(fields.get("stream", True), bool):
        raise ProviderSettingError(f"The 'stream' of the provider {said} must be True or False.")
    if wrong := [key for key, value in fields.items() if key != "stream" and not isinstance(value, str)]:
        raise ProviderSettingError(f"The {wrong[0]!r} of the provider {said} is no text.")
    texts = cast("Mapping[str, str]", fields)
    if texts.get("kind") not in list(Kind):
        raise ProviderSettingError(f"The 'kind' of the provider {said} must be {listed(Kind)}.")
    kind = Kind(texts["kind"])
    if texts.get("api_key_env") and texts.get("api_key_secret"):
        raise ProviderSettingError(f"The provider {said} has 'api_key_env' and 'api_key_secret': keep one of them.")
    for key in ("api_key_env", "api_key_secret"):
        if texts.get(key) and not _NAME.fullmatch(texts[key]):
            raise ProviderSettingError(
                f"The {key!r} of the provider {said} is no name: the key itself is not said here."
            )
    url, variable = _PLACES[kind]
    if texts.get("base_url"):
        _check_url(texts["base_url"], said)
    return Provider(
        name=name,
        kind=kind,
        base_url=texts.get("base_url") or url,
        api_key_env="" if texts.get("api_key_secret") else texts.get("api_key_env", variable),
        api_key_secret=texts.get("api_key_secret", ""),
        model=texts.get("model", ""),
        stream=fields.get("stream") is not False,
    )


def _check_url(url: str, said: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ProviderSettingError(
            f"The 'base_url' of the provider {said} is no URL: write one such as https://api.example.com/v1, without "
            "a user or a password."
        )


def _none() -> Mapping[str, Provider]:
    return providers_of({})


# Set by the app, so that what is asked is what the settings say now.
current: Callable[[], Mapping[str, Provider]] = _none
