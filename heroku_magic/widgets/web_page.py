"""Writes the form of a task as one static web page that runs it from any browser, without Python and without a server.

The page's program is in `templates/page`, one module of JavaScript per file. Here they become one script, which the
page's Content Security Policy names by its hash.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.protocol.environ import RESERVED_NAMES
from heroku_magic.protocol.helper import runs_helper_only
from heroku_magic.protocol.json_schema import expectation
from heroku_magic.protocol.values import to_text
from heroku_magic.text.sanitize import clean_line
from heroku_magic.text.secret import SHORTEST
from heroku_magic.widgets.fields import ChoiceField, Field, SliderField, takes_null
from heroku_magic.widgets.form_inputs import NameValue

if TYPE_CHECKING:
    from heroku_magic.protocol.task import Task
    from heroku_magic.widgets.form_inputs import FormInputs

API = "https://api.heroku.com"
TIME_LIMIT = 600  # seconds of a run, unless the page's author chooses others
# In this order each module follows the modules that it imports.
MODULES = ("exact_json", "times", "tables", "records", "platform", "run", "fields", "results", "page")
_LOCAL = re.compile(r"http://(127\.0\.0\.1|localhost):([1-9][0-9]{0,4})/?")
# A module's imports, comments and indentation, and the word that makes a definition available to other modules.
_ONLY_IN_MODULES = re.compile(r"^(?:import .*;\n|\s*//.*\n| +|export )", re.MULTILINE)
# What a schema says only to people.
_ANNOTATIONS = frozenset({"default", "description", "title", "examples"})


def check_api_url(url: str | None) -> str:
    """Return the address of the API that a page uses; only an embedded Heroku may take the place of Heroku.

    >>> check_api_url("http://localhost:5001/")
    'http://localhost:5001'
    """
    if url is None:
        return API
    match = _LOCAL.fullmatch(url)
    if match is None or int(match[2]) > 65_535:
        raise InvalidOptions(
            f'"{clean_line(url)}" is not the address of an embedded Heroku. '
            "Expected http://127.0.0.1:PORT or http://localhost:PORT."
        )
    return url.rstrip("/")


def web_page(
    task: Task, inputs: FormInputs, *, app: str, api_url: str = API, size: str | None = None, seconds: int = TIME_LIMIT
) -> str:
    """Return the page. inputs: its fields and what they contain at first; seconds: the longest life of a dyno."""
    from markupsafe import Markup

    from heroku_magic.display.html import template

    script = "".join(_ONLY_IN_MODULES.sub("", _source(f"{name}.js")) for name in MODULES)
    style = _source("page.css")
    is_declared, fields = task.schema is not None, [*inputs.fields.values()]
    joins = not runs_helper_only(task.command)
    declaration = {
        "task": {"name": task.name, "command": task.name, "joins": joins, "seconds": seconds, "size": size},
        "fields": [_field(number, field, is_declared=is_declared) for number, field in enumerate(fields)],
        "reserved": [] if is_declared else [*map(_reserved, RESERVED_NAMES)],
        "apiUrl": api_url,
        "shortestSecret": SHORTEST,
    }
    return template("page/page.html.j2", "heroku_magic.widgets").render(
        task=task,
        fields=fields,
        sliders=[isinstance(field, SliderField) for field in fields],
        rows=[] if is_declared else [*inputs.rows, NameValue("", "")],
        app=app,
        size=size,
        limit=f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s",
        policy=Markup(_policy(script, style)),  # noqa: S704 - without quotation marks
        script=Markup(script),  # noqa: S704 - our own file
        style=Markup(style),  # noqa: S704 - our own file
        declaration=Markup(_data(declaration)),  # noqa: S704 - escaped for a script element
    )


def _source(name: str) -> str:
    return (files("heroku_magic.widgets") / "templates" / "page" / name).read_text(encoding="utf-8")


def _policy(script: str, style: str) -> str:
    """Return the Content Security Policy: this script and this style, requests to an API, pictures of a run."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "connect-src https: http://127.0.0.1:* http://localhost:*; img-src blob: data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _data(value: Any) -> str:
    """Return JSON that a script element can contain, whatever the texts in it are."""
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, separators=(",", ":")))


def _field(number: int, field: Field, *, is_declared: bool) -> dict[str, Any]:
    """Return what the page's program has to know of a field."""
    schema = {key: value for key, value in field.schema.items() if key not in _ANNOTATIONS}
    options = field.options if isinstance(field, ChoiceField) else ()
    if isinstance(field, SliderField):
        schema |= {"minimum": field.lowest, "maximum": field.highest}
    return {
        "id": str(number),
        "name": field.name,
        "control": field.control,
        "schema": schema,
        "isRequired": field.parameter.is_required,
        "isUnset": field.is_unset,
        "takesNull": takes_null(field.parameter.schema),
        "expects": expectation(schema),
        "options": [_option(field, value, is_declared=is_declared) for value in options],
    }


def _reserved(rule: tuple[str, str]) -> tuple[str, str, str]:
    """Return pattern, flags and reason; not every browser knows flags within a pattern."""
    pattern, reason = rule
    ignoring_case = re.fullmatch(r"\(\?i:(.*)\)", pattern)
    return (ignoring_case[1], "i", reason) if ignoring_case else (pattern, "", reason)


def _option(field: Field, value: Any, *, is_declared: bool) -> str | None:
    """Return the text of a choice; None where the variable is not set."""
    is_left_out = value is None and not takes_null(field.parameter.schema)
    return None if is_left_out else to_text(value, field.parameter.schema if is_declared else None)
