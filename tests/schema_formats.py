"""The formats of Heroku's schema, as strict as Heroku; jsonschema's own need packages that may not be installed."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from urllib.parse import urlsplit

import jsonschema

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("uuid", raises=ValueError)
def is_uuid(value):
    return not isinstance(value, str) or str(uuid.UUID(value)) == value


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(value):
    return not isinstance(value, str) or bool(datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z"))


@FORMATS.checks("uri")
def is_uri(value):
    return not isinstance(value, str) or all(urlsplit(value)[:2])


@FORMATS.checks("email")
def is_email(value):
    return not isinstance(value, str) or bool(re.fullmatch(r"[^@\s]+@[^@\s]+", value))
