"""OAuth authorizations: tokens with scopes and an expiry, and the scopes that each kind of route accepts.

https://devcenter.heroku.com/articles/oauth#scopes
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from heroku_magic.emulator.state import Resource, first_match, new_id, now

SCOPES = ("global", "identity", "read", "write", "read-protected", "write-protected")

# The scopes that each kind of route accepts; those of account routes are from 2015, the last published ones.
READ = frozenset({"global", "read", "read-protected", "write", "write-protected"})
WRITE = frozenset({"global", "write", "write-protected"})
READ_PROTECTED = frozenset({"global", "read-protected", "write-protected"})
WRITE_PROTECTED = frozenset({"global", "write-protected"})
IDENTITY = frozenset({"global", "identity"})
GLOBAL = frozenset({"global"})
ANY = frozenset(SCOPES)


def _new_token() -> str:
    # In the shape of Heroku's own tokens, so that whatever redacts those redacts these.
    return f"HRKU-AA{secrets.token_urlsafe(48)[:58]}"


@dataclass
class Grant(Resource):
    """One token and what it may do. expires_in: seconds after its creation, None for no expiry."""

    scope: tuple[str, ...] = ("global",)
    description: str = "Long-lived user authorization"
    expires_in: int | None = None
    token: str = field(default_factory=_new_token)
    token_id: str = field(default_factory=new_id)

    @property
    def is_expired(self) -> bool:
        """Whether it has expired."""
        return self.expires_in is not None and now() >= self.created_at + timedelta(seconds=self.expires_in)

    @property
    def seconds_left(self) -> int | None:
        """Seconds until it expires."""
        if self.expires_in is None:
            return None
        return max(0, self.expires_in - int((now() - self.created_at).total_seconds()))

    @property
    def redacted(self) -> str:
        """The token as lists show it."""
        return f"{self.token[:7]}{'*' * 10}{self.token[-4:]}"


class Authorizations:
    """All tokens of the account; the first is the one that the emulator was started with."""

    def __init__(self, token: str) -> None:
        self.default = Grant(description="embedded Heroku", token=token)
        self._all = [self.default]

    def add(self, grant: Grant) -> None:
        """Add a new one."""
        self._all.append(grant)

    def valid(self) -> list[Grant]:
        """Return the authorizations that have not expired."""
        return [each for each in self._all if not each.is_expired]

    def for_token(self, token: bytes) -> Grant | None:
        """Return the grant of a token, unless it has expired."""
        # Compares all of them, in constant time each: the time taken must not tell how close a guess is.
        found = [each for each in self._all if hmac.compare_digest(each.token.encode(), token)]
        return found[0] if found and not found[0].is_expired else None

    def find(self, identity: str) -> Grant:
        """Return a grant by id; `~` is the default one."""
        matching = (each for each in self.valid() if identity == each.id or (identity == "~" and each is self.default))
        return first_match(matching, "authorization")

    def regenerate(self, grant: Grant) -> None:
        """Replace a token; the old one is useless at once."""
        grant.token, grant.token_id, grant.created_at = _new_token(), new_id(), now()

    def revoke(self, grant: Grant) -> None:
        """Make a token useless."""
        self._all.remove(grant)
