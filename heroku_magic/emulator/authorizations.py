"""OAuth authorizations: tokens with scopes and an end; who may ask for what, but not what is answered.

https://devcenter.heroku.com/articles/oauth#scopes
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heroku_magic.emulator.errors import not_found
from heroku_magic.emulator.state import new_id, now

SCOPES = ("global", "identity", "read", "write", "read-protected", "write-protected")

# What each kind of route takes; the account's are those of 2015, the last that are public.
READ = frozenset({"global", "read", "read-protected", "write", "write-protected"})
WRITE = frozenset({"global", "write", "write-protected"})
READ_PROTECTED = frozenset({"global", "read-protected", "write-protected"})
WRITE_PROTECTED = frozenset({"global", "write-protected"})
IDENTITY = frozenset({"global", "identity"})
GLOBAL = frozenset({"global"})
ANY = frozenset(SCOPES)


def _new_token() -> str:
    # The shape of Heroku's own, so that what redacts theirs redacts ours.
    return f"HRKU-AA{secrets.token_urlsafe(48)[:58]}"


@dataclass
class Authorization:
    """One token and what it may do. expires_in: seconds from its creation, None for ever."""

    scope: tuple[str, ...] = ("global",)
    description: str = "Long-lived user authorization"
    expires_in: int | None = None
    token: str = field(default_factory=_new_token)
    id: str = field(default_factory=new_id)
    token_id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)

    @property
    def is_over(self) -> bool:
        """Whether it has expired."""
        return self.expires_in is not None and now() >= self.created_at + timedelta(seconds=self.expires_in)

    @property
    def expires_within(self) -> int | None:
        """Seconds that it still lives."""
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
        self.default = Authorization(description="embedded Heroku", token=token)
        self._all = [self.default]

    def add(self, authorization: Authorization) -> None:
        """Remember a new one."""
        self._all.append(authorization)

    def valid(self) -> list[Authorization]:
        """Return those that have not expired."""
        return [each for each in self._all if not each.is_over]

    def of(self, token: bytes) -> Authorization | None:
        """Return the authorization of a token, unless it has expired."""
        found = [each for each in self._all if hmac.compare_digest(each.token.encode(), token)]
        return found[0] if found and not found[0].is_over else None

    def find(self, identity: str) -> Authorization:
        """Return an authorization by id; `~` is the default one."""
        for each in self.valid():
            if identity == each.id or (identity == "~" and each is self.default):
                return each
        raise not_found("authorization")

    def revoke(self, authorization: Authorization) -> None:
        """Its token opens nothing any more."""
        self._all.remove(authorization)
