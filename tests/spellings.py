"""How a secret may be spelled where it comes back: by encoders of the standard library and of the product."""

import base64
import html
import json
from urllib.parse import quote, quote_plus, urlencode

from workflows_app.dag import jsontext


def url_quoted(value: str) -> set[str]:
    forms = {quote(value), quote(value, safe=""), quote_plus(value), urlencode({"k": value})[2:]}
    return forms | {form.replace("%C3", "%c3").replace("%2F", "%2f").replace("%3D", "%3d") for form in forms}


def json_escaped(value: str) -> set[str]:
    once = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], jsontext.dumps(value)[1:-1]}
    return once | {json.dumps(form)[1:-1] for form in once} | {form.replace("/", "\\/") for form in once}


def repr_escaped(value: str) -> set[str]:
    once = repr(value)[1:-1]
    return {once, ascii(value)[1:-1], repr(value.encode())[2:-1], repr(once)[1:-1]}


def html_escaped(value: str) -> set[str]:
    return {html.escape(value), html.escape(value, quote=False), html.escape(value).replace("&#x27;", "&#39;")}


def hexadecimal(value: str) -> set[str]:
    return {value.encode().hex(), value.encode().hex().upper()}


def inside_base64(value: str) -> set[str]:
    """The letters of encoded texts that are the value's alone, at each place in a group of three."""
    forms: set[str] = set()
    for before, first in enumerate((0, 2, 3)):
        whole = (before + len(value.encode())) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(b"x" * before + value.encode()).decode()[first:whole])
    return forms


def spellings(value: str) -> set[str]:
    forms = {value} | url_quoted(value) | json_escaped(value) | repr_escaped(value) | html_escaped(value)
    return forms | hexadecimal(value) | inside_base64(value)
