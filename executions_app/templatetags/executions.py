"""Executions in templates of any page, such as the index of the admin."""

from django import template
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()


@register.simple_tag
def live_words() -> SafeString:
    """The forms of a duration, for scripts that count the time of what runs."""
    words = {
        "seconds": _("%(number)s s"),
        "minutes": _("%(minutes)s m %(seconds)s s"),
        "hours": _("%(hours)s h %(minutes)s m"),
    }
    return json_script(words, "pt-words")
