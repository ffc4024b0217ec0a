"""Chooses the environment variables that pip and uv see: what they need, and never the notebook's tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = (
    r"PATH|HOME|TMPDIR|LANG|LC_\w+|LD_LIBRARY_PATH|XDG_\w+|(?:PIP|UV)_\w+|SSL_CERT_(?:FILE|DIR)"
    r"|(?:REQUESTS|CURL)_CA_BUNDLE|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy"
)

# What a user's own settings of pip must not change: its output, and where it installs.
PIP_SETTINGS = {
    "PIP_QUIET": "0",
    "PIP_VERBOSE": "0",
    "PIP_USER": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
}


def installer_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that installing a package, or a build, needs.

    >>> installer_variables({"PIP_INDEX_URL": "https://a/simple", "HEROKU_API_KEY": "token"})
    {'PIP_INDEX_URL': 'https://a/simple'}
    """
    return {name: value for name, value in environ.items() if re.fullmatch(NEEDED, name)}
