"""Which version of a workflow a request means: `If-Match` in, `ETag` out."""

from django.http import HttpResponse

from workflows_app.rest.errors import VersionRequired

# No workflow has it: what is no version at all is stale.
NO_VERSION = 0
_DIGITS = 9


def required_version(if_match: str | None) -> int:
    """The version in `If-Match`. Raises `VersionRequired` where there is none."""
    version = stated_version(if_match)
    if version is None:
        raise VersionRequired
    return version


def stated_version(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else NO_VERSION


def state_version(response: HttpResponse, version: int) -> None:
    response["ETag"] = f'"{version}"'
