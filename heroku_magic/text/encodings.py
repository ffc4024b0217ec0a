"""Writes a text as logs and error messages may show it, escaped, quoted or encoded, and reads escapes back."""

from __future__ import annotations

import html
import json
import re
import shlex
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

_JAVASCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_BEFORE_HEX = ("", ":", " ", "-", "_", ".", ",", ", ", "\\x", "%", "0x", " 0x", ", 0x", ",0x")  # between two bytes
BASE64_LINE = 76  # https://www.rfc-editor.org/rfc/rfc2045#section-6.8
_HEX = "[0-9A-Fa-f]"
_ESCAPES = re.compile(
    rf"(?P<bytes>(?:(?:%|\\[xX]){_HEX}{{2}})+)|(?P<point>\\U(?:000{_HEX}|0010){_HEX}{{4}})|(?P<units>(?:\\[uU]{_HEX}{{4}})+)"
    r"|(?P<octal>(?:\\[0-3][0-7]{2})+)|(?P<html>&#?[0-9A-Za-z]{1,31};)|\\(?P<one>[nrt\"'/\\])"
)


def escaped(text: str) -> set[str]:
    """Return a text as JSON, JavaScript, Python, shells, HTML and URLs write it, with the text itself."""
    cases = {text, text.upper(), text.lower(), text.casefold()}
    if text.isascii() and text.isalnum():  # such as a run's key: nothing escapes these characters
        return cases
    data = text.encode("utf-8", "surrogatepass")
    as_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    as_json |= {one.replace("/", "\\/") for one in as_json}
    as_json |= {one.translate(_JAVASCRIPT) for one in as_json}
    twice = {json.dumps(one)[1:-1] for one in as_json}
    python = {repr(text)[1:-1], ascii(text)[1:-1], repr(data)[2:-1]}
    python |= {one.replace("'", "\\'") for one in python}
    shell = {shlex.quote(text)[1:-1] if "'" in text else text, text.replace("'", "'\\''")}
    url = {quote(data, safe=safe) for safe in ("", "/", "!~*'()", ";,/?:@&=+$!~*'()#")} | {quote_plus(data)}
    return cases | as_json | twice | python | shell | _html(text) | url | {quote(one) for one in url}


def _html(text: str) -> set[str]:
    quotes = (("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&apos;"), ('"', "'"))
    forms = {html.escape(text, quote=False).replace('"', double).replace("'", single) for double, single in quotes}
    decimal = {one.encode("ascii", "xmlcharrefreplace").decode("ascii") for one in forms}
    return forms | decimal | {"".join(c if c.isascii() else f"&#x{ord(c):x};" for c in one) for one in forms}


def unescaped(text: str) -> str:
    r"""Return a text with the escapes of URLs, HTML, JSON and Python read back.

    >>> unescaped("%74o&#107;\\u0065n")
    'token'
    """
    return _ESCAPES.sub(_character, text) if "%" in text or "&" in text or "\\" in text else text


def _character(match: re.Match[str]) -> str:
    """Return the characters of one or several escapes of one kind."""
    code, kind = match[0], match.lastgroup
    if kind == "html":
        return html.unescape(code)
    if kind == "one":
        return {"n": "\n", "r": "\r", "t": "\t"}.get(code[1], code[1])
    if kind == "octal":
        data = bytes(int(digits, 8) for digits in code[1:].split("\\"))
    else:
        data = bytes.fromhex(re.sub(r"%|\\[xXuU]", "", code))
    if kind in {"units", "point"}:
        return data.decode("utf-16-be" if kind == "units" else "utf-32-be", "surrogatepass")
    try:
        return data.decode("utf-8")
    except UnicodeError:
        return data.decode("latin-1")


def numbers(text: str) -> set[str]:
    """Return the bytes of a text as hexadecimal digits, together or apart, and as decimal numbers."""
    data = text.encode("utf-8", "surrogatepass")
    decimal, pairs = [str(byte) for byte in data], [f"{byte:02x}" for byte in data]
    texts = {between.join(decimal) for between in (",", ", ", " ")}
    return texts | {between.join(pairs) for between in _BEFORE_HEX}


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
    return forms | {whole[at : at + BASE64_LINE] for at in range(0, len(whole) - BASE64_LINE // 2, BASE64_LINE)}
