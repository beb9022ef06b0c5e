"""Statuses, node types and durations in templates: shape, colour and word together, never colour alone."""

from decimal import Decimal

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from workflows_app.wording import NODE_TYPE_WORDS, STATUS_WORDS, node_type_word, status_word

register = template.Library()

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture of the sprite beside a word that says the same."""
    return format_html(
        '<svg class="pt-icon" aria-hidden="true"><use href="{}#{}"></use></svg>', _sprite(), _known(name)
    )


@register.simple_tag
def status_mark(status: str) -> SafeString:
    """Icon and word of a status."""
    return format_html('<span class="pt-status pt-{}">{}{}</span>', _known(status), icon(status), status_word(status))


@register.simple_tag
def status_icon(status: str, title: str = "") -> SafeString:
    """The icon of a status alone, named for those who hover and those who listen."""
    return format_html(
        '<svg class="pt-icon pt-{}" role="img" aria-label="{}"><title>{}</title><use href="{}#{}"></use></svg>',
        _known(status),
        title or status_word(status),
        title or status_word(status),
        _sprite(),
        _known(status),
    )


@register.simple_tag
def node_type_mark(kind: str) -> SafeString:
    """Icon and word of a node type."""
    return format_html('<span class="pt-type">{}{}</span>', icon(kind), node_type_word(kind))


@register.simple_tag
def node_type_name(kind: str) -> str:
    """A node type in words."""
    return node_type_word(kind)


@register.filter
def duration(milliseconds: Decimal | float | None) -> str:
    """Milliseconds as people read them, three digits or so; empty for what has not ended."""
    if milliseconds is None:
        return ""
    ms = float(milliseconds)
    if ms < 1000:
        return _("%(number)s ms") % {"number": f"{ms:.1f}" if ms < 10 else f"{ms:.0f}"}
    if ms < _MINUTE_MS:
        return _("%(number)s s") % {"number": f"{ms / 1000:.1f}"}
    # Rounded before it is taken apart: no 60 seconds in a minute.
    seconds = round(ms / 1000)
    if ms < _HOUR_MS:
        return _("%(minutes)s m %(seconds)s s") % {"minutes": seconds // 60, "seconds": f"{seconds % 60:02}"}
    minutes = round(seconds / 60)
    return _("%(hours)s h %(minutes)s m") % {"hours": minutes // 60, "minutes": f"{minutes % 60:02}"}


def _sprite() -> str:
    return static("workflows_app/icons.svg")


def _known(name: str) -> str:
    """Only what the sprite has becomes part of a class or an address."""
    return name if name in STATUS_WORDS or name in NODE_TYPE_WORDS or name in _OTHERS else "pending"


_OTHERS = frozenset({"waiting", "timeout"})
