"""The Korean catalogues have every text of the source, and what is compiled is what they say."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import dedent

import django
import polib
import pytest

from tests.translations import (
    APPS,
    SITE,
    Message,
    catalogue_of,
    entries_of,
    messages_in_python,
    messages_in_template,
    messages_of,
    places_of,
    translations_of,
)

CATALOGUES = (*APPS, SITE)
DJANGO = Path(next(iter(django.__path__)))


def missing(messages: Iterable[Message], entries: Iterable[polib.POEntry]) -> list[str]:
    """Texts of the source that a catalogue does not translate, and those that it has beyond them."""
    wanted = {(message.context, message.text, message.plural or "") for message in messages}
    found = {
        (entry.msgctxt, entry.msgid, entry.msgid_plural)
        for entry in entries
        if all(translation.strip() for translation in translations_of(entry))
    }
    return [f"not translated: {key}" for key in sorted(wanted - found, key=str)] + [
        f"not in the source: {key}" for key in sorted(found - wanted, key=str)
    ]


def misplaced(entries: Iterable[polib.POEntry]) -> list[str]:
    """Translations that fill in something else than their texts."""
    return [
        entry.msgid
        for entry in entries
        for translation in translations_of(entry)
        # A singular may leave out the number.
        if places_of(translation) not in (places_of(entry.msgid), places_of(entry.msgid_plural or entry.msgid))
    ]


def contradictions(catalogues: Iterable[Iterable[polib.POEntry]]) -> list[str]:
    """Texts that two apps translate differently: Django puts all catalogues together, and one would win."""
    said: dict[tuple[str | None, str], set[tuple[str, ...]]] = {}
    for entries in catalogues:
        for entry in entries:
            said.setdefault((entry.msgctxt, entry.msgid), set()).add(tuple(translations_of(entry)))
    return [text for (_, text), translations in said.items() if len(translations) > 1]


def entry(text: str, translation: str, **more: object) -> polib.POEntry:
    return polib.POEntry(msgid=text, msgstr=translation, **more)


@pytest.mark.parametrize("app", APPS)
def test_every_text_of_the_source_is_translated_and_no_other(app: str) -> None:
    assert missing(messages_of(app), entries_of(app)) == [], "`make messages`, then translate what is new."


@pytest.mark.parametrize("app", CATALOGUES)
def test_translations_fill_in_what_their_texts_do(app: str) -> None:
    assert misplaced(entries_of(app)) == []


@pytest.mark.parametrize("app", CATALOGUES)
def test_no_entry_is_fuzzy_or_obsolete_and_none_names_a_line(app: str) -> None:
    assert [one.msgid for one in entries_of(app) if one.fuzzy or one.obsolete or one.occurrences] == []


@pytest.mark.parametrize("app", CATALOGUES)
def test_what_is_compiled_is_the_catalogue(app: str) -> None:
    path = catalogue_of(app)
    assert path.with_suffix(".mo").read_bytes() == polib.pofile(str(path)).to_binary(), "`make messages` compiles it."


def test_both_apps_say_the_same_of_the_same_text() -> None:
    assert contradictions(entries_of(app) for app in APPS) == []


def test_what_the_site_mends_is_said_by_django() -> None:
    said = {
        (entry.msgctxt, entry.msgid, entry.msgid_plural)
        for part in ("conf", "contrib/admin")
        for entry in polib.pofile(str(DJANGO / part / "locale/en/LC_MESSAGES/django.po"))
    }
    mended = {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in entries_of(SITE)}
    assert mended
    assert mended <= said


def test_texts_of_people_stand_in_the_apps() -> None:
    """They have the catalogues: the site says nothing that they do not say."""
    assert set(messages_of("pastetrader", "templates")) <= {message for app in APPS for message in messages_of(app)}


def test_texts_are_found_in_python_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    source = """
        from django.utils.translation import gettext as _, gettext_lazy, ngettext, pgettext_lazy as p
        from elsewhere import gettext
        TITLE = gettext_lazy("A title")
        def told(count, name):
            yield f"{name or _('nobody')}"
            yield ngettext("one", "%(count)s", count)
            yield p("day", "From")
            yield gettext("not Django's")
    """
    _ = path.write_text(dedent(source), encoding="utf-8")
    assert [(one.context, one.text, one.plural) for one in messages_in_python(path)] == [
        (None, "A title", None), (None, "nobody", None), (None, "one", "%(count)s"), ("day", "From", None),
    ]  # fmt: skip


def test_texts_are_found_in_every_tag_of_a_template(tmp_path: Path) -> None:
    path = tmp_path / "planted.html"
    source = """
        {% translate "It's" %}{% translate "From" context "day" %}{{ x|default:_("None") }}
        {% blocktranslate count count=x %}{{ count }} "run"{% plural %}{{ count }} runs{% endblocktranslate %}
        {% blocktranslate %}All of {{ x }}{% endblocktranslate %}
    """
    _ = path.write_text(source, encoding="utf-8")
    assert {(one.context, one.text, one.plural) for one in messages_in_template(path)} == {
        (None, "It's", None), ("day", "From", None), (None, "None", None),
        (None, '%(count)s "run"', "%(count)s runs"), (None, "All of %(x)s", None),
    }  # fmt: skip


def test_a_text_that_is_no_constant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    _ = path.write_text(
        "from django.utils.translation import gettext\ndef f(x):\n    return gettext(f'{x} ran')\n", encoding="utf-8"
    )
    with pytest.raises(AssertionError, match=r"planted\.py:3: gettext takes 1 texts"):
        _ = list(messages_in_python(path))


@pytest.mark.parametrize(
    ("messages", "entries", "found"),
    [
        ([Message(None, "Planted")], [], ["not translated: (None, 'Planted', '')"]),
        ([Message(None, "Planted")], [entry("Planted", " ")], ["not translated: (None, 'Planted', '')"]),
        ([], [entry("Gone", "갔음")], ["not in the source: (None, 'Gone', '')"]),
        ([Message(None, "Kept")], [entry("Kept", "남음")], []),
    ],
)
def test_what_is_left_out_or_left_over_is_found(
    messages: Sequence[Message], entries: Sequence[polib.POEntry], found: Sequence[str]
) -> None:
    assert missing(messages, entries) == found


@pytest.mark.parametrize(
    ("text", "translation", "is_wrong"),
    [
        ("%(name)s ran", "%(name)s 실행", False),
        ("%(name)s ran", "%(nam)s 실행", True),
        ("%(name)s ran", "실행", True),
        ("%s new", "새 %%", True),
        ("copies: {}.", "사본: {}.", False),
        ("copies: {}.", "사본", True),
    ],
)
def test_a_translation_that_fills_in_something_else_is_found(text: str, translation: str, is_wrong: bool) -> None:
    assert misplaced([entry(text, translation)]) == ([text] if is_wrong else [])


def test_a_contradiction_is_found() -> None:
    assert contradictions([[entry("run", "실행")], [entry("run", "달리기")]]) == ["run"]
    assert contradictions([[entry("run", "실행")], [entry("run", "실행")]]) == []
