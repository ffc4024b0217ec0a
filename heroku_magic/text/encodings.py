"""Writes a text as logs and error messages may show it: escaped, quoted or encoded."""

from __future__ import annotations

import html
import json
import shlex
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

_JAVASCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_BEFORE_HEX = ("", ":", " ", "-", "\\x", "%", ", 0x")  # what tools write between two bytes
_BASE64_LINE = 76  # https://www.rfc-editor.org/rfc/rfc2045#section-6.8


def escaped(text: str) -> set[str]:
    """Return a text as JSON, JavaScript, Python, shells, HTML and URLs write it, with the text itself."""
    data = text.encode("utf-8", "surrogatepass")
    as_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    as_json |= {one.replace("/", "\\/") for one in as_json}
    as_json |= {one.translate(_JAVASCRIPT) for one in as_json}
    twice = {json.dumps(one)[1:-1] for one in as_json}
    python = {repr(text)[1:-1], ascii(text)[1:-1], repr(data)[2:-1]}
    python |= {one.replace("'", "\\'") for one in python}
    shell = {shlex.quote(text)[1:-1] if "'" in text else text, text.replace("'", "'\\''")}
    url = {quote(data, safe=safe) for safe in ("", "/", "!~*'()", ";,/?:@&=+$!~*'()#")} | {quote_plus(data)}
    cases = {text, text.upper(), text.lower(), text.casefold()}
    return cases | as_json | twice | python | shell | _html(text) | url | {quote(one) for one in url}


def _html(text: str) -> set[str]:
    quotes = (("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&apos;"), ('"', "'"))
    forms = {html.escape(text, quote=False).replace('"', double).replace("'", single) for double, single in quotes}
    decimal = {one.encode("ascii", "xmlcharrefreplace").decode("ascii") for one in forms}
    return forms | decimal | {"".join(c if c.isascii() else f"&#x{ord(c):x};" for c in one) for one in forms}


def hexadecimal(text: str) -> set[str]:
    """Return the bytes of a text as hexadecimal digits, together or apart."""
    pairs = [f"{byte:02x}" for byte in text.encode("utf-8", "surrogatepass")]
    return {between.join(pairs) for between in _BEFORE_HEX}


def base64(text: str) -> set[str]:
    """Return what Base64 makes of a text, wherever in the encoded data it begins, as in `Basic` authentication.

    Digits that also depend on neighbouring characters are left out.
    """
    data = text.encode("utf-8", "surrogatepass")
    forms: set[str] = set()
    for before in range(3):
        begin, end = -(-8 * before // 6), 8 * (before + len(data)) // 6
        for encode in (b64encode, urlsafe_b64encode):
            forms.add(encode(b"\0" * before + data).decode("ascii")[begin:end])
    whole = b64encode(data).decode("ascii").rstrip("=")
    return forms | {whole[at : at + _BASE64_LINE] for at in range(0, len(whole) - _BASE64_LINE // 2, _BASE64_LINE)}
