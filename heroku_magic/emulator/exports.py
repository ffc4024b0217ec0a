"""The environment variables that point clients at this emulator: ours, the official CLI's, and git's."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Answers git from the environment, so that the token is in no URL, no list of processes and no file.
# https://git-scm.com/docs/gitcredentials#_custom_helpers
_HELPER = (
    '!f() { if test "$1" = get && test -n "$HEROKU_API_KEY"; then '
    'echo username=heroku; echo "password=$HEROKU_API_KEY"; fi; }; f'
)


def api_exports(url: str, token: str) -> dict[str, str]:
    """Return the variables of a client of the API."""
    return {
        "HEROKU_HOST": url,
        "HEROKU_API_KEY": token,
        "HEROKU_PARTICLEBOARD_URL": url,
        # The CLI adds the port of HEROKU_HOST. Without it, `heroku pg:backups` sends the token to Heroku's own host.
        "HEROKU_DATA_HOST": "127.0.0.1",
    }


def tls_exports(git_url: str, authority: Path) -> dict[str, str]:
    """Return the variables of what connects by TLS: attached dynos of the official CLI, and git.

    Git's settings are for this URL only and are added to the settings in the environment.
    https://git-scm.com/docs/git-config#ENVIRONMENT
    """
    url = f"{git_url}/"
    settings = [
        (f"http.{url}.sslCAInfo", str(authority)),
        # Where GIT_SSL_CAINFO is set, it comes before the file, and the folder still counts.
        (f"http.{url}.sslCAPath", str(authority.parent)),
        (f"http.{url}.proxy", ""),
        # An empty helper removes the user's own, which would store the token.
        (f"credential.{url}.helper", ""),
        (f"credential.{url}.helper", _HELPER),
    ]
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    first = int(count) if count.isdecimal() and count.isascii() else 0
    exports = {
        "NODE_EXTRA_CA_CERTS": str(authority),
        "HEROKU_GIT_HOST": git_url.removeprefix("https://"),
        "GIT_CONFIG_COUNT": str(first + len(settings)),
    }
    for number, (key, value) in enumerate(settings, first):
        exports |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return exports


def as_shell(exports: dict[str, str]) -> str:
    """Return one `export` line for each variable."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())
