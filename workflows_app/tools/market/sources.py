"""Where prices come from: the bundled file, another CSV file or an HTTP service, as the application says."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeConfigurationError
from workflows_app.tools.market.bars import COLUMNS, Bars, Days
from workflows_app.tools.market.services import PLACES, HttpSource, unknown_places
from workflows_app.tools.market.tables import CsvSource

_BUNDLED = Path(__file__).parent.parent / "data" / "closes.csv"
_FIELDS = ("date", *COLUMNS)
_KEYS = ("url", "items", *_FIELDS, "bearer_env")
# Nothing of a node gets into the host.
_URL = re.compile(r"https?://[^/?#{}\s]+[/?]\S*")


class Source(Protocol):
    """Gives the bars of a symbol. It may give more days than it is asked for: they are cut off."""

    async def bars(self, symbol: str, days: Days, context: ToolContext) -> Bars: ...

    async def symbols(self, until: str | None, context: ToolContext) -> Sequence[str]:
        """Those of which there are bars up to a day, as far as the source can tell."""
        ...


class SourceSettingError(NodeConfigurationError):
    """Raised for a setting that names no source of prices; a sentence that says why."""


def bundled() -> Source:
    return CsvSource(path=_BUNDLED)


# The source of `market.prices`. To be replaced by the application.
current: Callable[[], Source] = bundled


def source_of(setting: object) -> Source:
    """The source of `{"csv": path}` or `{"http": {...}}`; the bundled one of None. Raises `SourceSettingError`."""
    if setting is None:
        return bundled()
    (kind, value), *others = _entries(setting) or [("", None)]
    if kind == "csv" and isinstance(value, str | Path) and value and not others:
        return CsvSource(path=Path(value))
    if kind == "http" and isinstance(value, dict) and not others:
        return _service(dict(_entries(cast(object, value))))
    raise SourceSettingError('It is neither {"csv": path} nor {"http": {"url": ...}}.')


def _entries(setting: object) -> list[tuple[object, object]]:
    return list(cast("dict[object, object]", setting).items()) if isinstance(setting, dict) else []


def _service(setting: Mapping[object, object]) -> Source:
    if unknown := [key for key in setting if key not in _KEYS]:
        raise SourceSettingError(f"'http' has {listed(_KEYS, 'and')}, but no {quoted(str(unknown[0]))}.")
    if wrong := [key for key, value in setting.items() if not isinstance(value, str) or not value]:
        raise SourceSettingError(f"'{wrong[0]}' of 'http' is no text.")
    texts = cast("Mapping[str, str]", setting)
    url = texts.get("url", "")
    if not _URL.fullmatch(url) or "{symbol}" not in url or unknown_places(url):
        places = listed([f"{{{place}}}" for place in PLACES], "and")
        raise SourceSettingError(
            "'url' of 'http' is an address such as https://host/daily/{symbol}?until={until}: "
            + f"{places} can stand behind the host, and {{symbol}} must."
        )
    fields = {name: texts[name] for name in _FIELDS if name in texts}
    return HttpSource(
        url=url,
        items=texts.get("items", ""),
        fields={"date": "date", "close": "close", **fields},
        bearer_env=texts.get("bearer_env"),
    )
