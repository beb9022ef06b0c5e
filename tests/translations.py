"""The Korean catalogues: `python -m tests.translations` brings them up to date with the source, and compiles them.

What is new stands there untranslated, what is gone is dropped. Without gettext's programs, without dates and line
numbers: a catalogue changes when a text does. The site's own catalogue, which mends Django's Korean, is written by
hand and only compiled.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polib
from django.utils.translation.template import templatize

from tests.architecture.source import ROOT, python_files, syntax_tree

APPS = ("workflows_app", "executions_app")
SITE = "pastetrader"
_FUNCTIONS = frozenset({"gettext", "ngettext", "pgettext", "npgettext"})
# A call in what `templatize` makes of a template, and a text in it.
_CALL = re.compile(r"(?<!\w)(n?p?gettext|_)\((?=u?['\"])")
_TEXT = re.compile(r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\s*,?\s*", re.DOTALL)
_PLACE = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{\w*\}")


@dataclass(frozen=True, slots=True)
class Message:
    """A text to be translated; two that differ in their plural alone are the same."""

    context: str | None
    text: str
    plural: str | None = field(default=None, compare=False)

    @property
    def places(self) -> Sequence[str]:
        """What is filled in: `%(name)s`, `%s`, `{}`."""
        return places_of(self.text)


def places_of(text: str) -> Sequence[str]:
    return sorted(_PLACE.findall(text))


def messages_in_python(path: Path) -> Iterator[Message]:
    tree = syntax_tree(path)
    named = {
        alias.asname or alias.name: alias.name.removesuffix("_lazy")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
    }
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and named.get(node.func.id) in _FUNCTIONS
    ]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        assert isinstance(call.func, ast.Name)
        function = named[call.func.id]
        given = call.args[: _text_count(function)]
        texts = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        yield _message(function, texts, f"{path}:{call.lineno}")


def messages_in_template(path: Path) -> Iterator[Message]:
    text = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    for call in _CALL.finditer(text):
        texts: list[str] = []
        at = call.end()
        while found := _TEXT.match(text, at):
            texts.append(ast.literal_eval(found[1]))
            at = found.end()
        yield _message("gettext" if call[1] == "_" else call[1], texts, str(path))


def _message(function: str, texts: Sequence[str], where: str) -> Message:
    """The arguments that are texts, by the function that they are given to."""
    wanted = _text_count(function)
    assert len(texts) == wanted, f"{where}: {function} takes {wanted} texts as they are, not {texts}."
    given = iter(texts)
    context = next(given) if function.startswith(("p", "np")) else None
    return Message(context, next(given), next(given, None))


def _text_count(function: str) -> int:
    """A context and a plural are texts, too."""
    return 1 + len(function.removesuffix("gettext"))


def messages_of(*folders: str) -> Sequence[Message]:
    """All messages below these folders, each once, in the order of the files."""
    found: dict[Message, Message] = {}
    templates = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.html"))
    for messages in (
        *(messages_in_python(path) for path in python_files(*folders)),
        *(messages_in_template(path) for path in templates),
    ):
        for message in messages:
            if message not in found or found[message].plural is None:
                found[message] = message
    return list(found.values())


def catalogue_of(app: str) -> Path:
    return ROOT / app / "locale" / "ko" / "LC_MESSAGES" / "django.po"


def entries_of(app: str) -> Sequence[polib.POEntry]:
    return list(polib.pofile(str(catalogue_of(app))))


def translations_of(entry: polib.POEntry) -> Sequence[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def refresh(app: str) -> int:
    """Bring a catalogue up to date; answers how many of its texts are not translated."""
    path = catalogue_of(app)
    before = polib.pofile(str(path)) if path.exists() else polib.POFile()
    known = {(entry.msgctxt, entry.msgid): translations_of(entry) for entry in before}
    after = polib.POFile(wrapwidth=110)
    after.header = before.header
    after.metadata = {
        "Project-Id-Version": "PasteTrader",
        "Language": "ko",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": "nplurals=1; plural=0;",
    }
    for message in messages_of(app):
        translation = known.get((message.context, message.text), [""])[0]
        after.append(
            polib.POEntry(
                msgctxt=message.context,
                msgid=message.text,
                msgid_plural=message.plural or "",
                msgstr="" if message.plural else translation,
                msgstr_plural={0: translation} if message.plural else {},
                flags=["python-format"] if any(place.startswith("%") for place in message.places) else [],
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    after.save(str(path))
    return len(after.untranslated_entries())


def compile_catalogue(path: Path) -> None:
    polib.pofile(str(path)).save_as_mofile(str(path.with_suffix(".mo")))


def main() -> int:
    missing = {app: refresh(app) for app in APPS}
    for name in (*APPS, SITE):
        compile_catalogue(catalogue_of(name))
    for app, count in missing.items():
        _ = sys.stdout.write(f"{app}: {count} texts are not translated.\n")
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
