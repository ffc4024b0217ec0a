"""The connections of this process, in a module that completion can import without the rest of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.text.secret import Secret

# By API, app and token; the one used last stands last. `connect()` fills it.
open_connections: dict[tuple[str, str, Secret], Heroku] = {}
