"""Account: the verbs about the account: who is logged in, its apps, the one that cells run on and its config."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.verb_group import VerbGroup
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from heroku_magic.magics.parser import Parsed


class Account(VerbGroup):
    """`login`, `logout`, `status`, `apps`, `use`, `create`, `destroy`, `config`."""

    def _login(self, parsed: Parsed) -> None:
        from heroku_magic.accounts.login import login

        done = login(scope=parsed.options.get("scope", ()), expires=parsed.options.get("expires"))
        ends = f" until {datetime.fromtimestamp(done.ends_at).astimezone():%H:%M on %Y-%m-%d}" if done.ends_at else ""
        print(f"Logged in to {done.host} as {clean_line(done.email)} by {done.source}{ends}.")

    def _logout(self, _: Parsed) -> None:
        from heroku_magic.accounts.login import logout

        source = logout()
        print("The notebook keeps no token of its own." + (f" The one of {source} is still used." if source else ""))

    def _status(self, parsed: Parsed) -> None:
        from heroku_magic.accounts.settings import NoApp
        from heroku_magic.app.connect import account

        try:
            facts = self._connect(parsed).status()
        except NoApp:
            facts = {"app": "none is chosen (%heroku use NAME, or --local)", **account().status()}
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f"{name:<{width}}  {clean_line(value)}")

    def _apps(self, _: Parsed) -> Any:
        from heroku_magic.app.connect import account
        from heroku_magic.protocol.dataframe import table

        columns = ["app", "region", "stack", "created", "released", "slug_mb"]
        return table([dict(zip(columns, _facts(app), strict=True)) for app in account().apps()], columns)

    def _use(self, parsed: Parsed) -> None:
        from heroku_magic.app.connect import connect

        self._run_on(connect(parsed.words[0]).check())

    def _create(self, parsed: Parsed) -> None:
        from heroku_magic.app.connect import account

        owner = account()
        options = parsed.options
        app = owner.create(
            parsed.words[0] if parsed.words else None, region=options.get("region"), stack=options.get("stack")
        )
        where = "on the embedded Heroku, for as long as this kernel lives" if owner.is_embedded else "on Heroku"
        print(f"Created {app.name} {where}. It has no code yet and costs nothing: %heroku deploy FOLDER ships some.")
        self._run_on(app.name)

    def _destroy(self, parsed: Parsed) -> None:
        from heroku_magic.app.connect import account

        if parsed.options.get("leftovers"):
            removed = account().remove_leftovers()
            print(next(removed, "Nothing is left over from notebooks of this machine."))
            for line in removed:
                print(line)
            return
        if not parsed.words:
            raise InvalidOptions("Which app? %heroku destroy NAME --confirm NAME")
        (name,) = parsed.words
        account().destroy(name, confirm=parsed.options.get("confirm", ""))
        print(f"Destroyed {name}.")
        if self.app == name:
            self.app = None

    def _config(self, parsed: Parsed) -> None:
        unset = parsed.options.get("unset")
        if parsed.words and unset:
            raise InvalidOptions("Set a config var or --unset some: one line does one of them.")
        heroku = self._connect(parsed)
        if unset is not None:
            heroku.unset_config(*(unset or parsed.words))
        elif parsed.words:
            heroku.set_config(parsed.words[0])
        else:
            print(_masked(heroku.config()) or f"{heroku.app_name} has no config vars.")


def _facts(app: Any) -> list[Any]:
    """What `apps` tells of an app."""
    size = None if app.slug_size is None else round(app.slug_size / 1e6, 1)
    names = [app.name, *(one.name if one else None for one in (app.region, app.stack))]
    return [*names, app.created_at, app.released_at, size]


def _masked(names: list[str]) -> str:
    width = max(map(len, names), default=0)
    return "\n".join(f"{clean_line(name):<{width}}  ***" for name in names)
