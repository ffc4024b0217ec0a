"""The verbs about the account: login, its apps, the app that cells run on, its config vars, deploys and releases."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from heroku_magic.errors import HerokuMagicError, Interrupted, InvalidOptions, NotFound, SettingsError
from heroku_magic.magics.verb_group import VerbGroup, table
from heroku_magic.text.notifier import notify
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.deploy.deploy import Deploy
    from heroku_magic.display.listing import Listing
    from heroku_magic.magics.parser import ParsedLine


class AccountVerbs(VerbGroup):
    """`login`, `logout`, `status`, `apps`, `use`, `create`, `destroy`, `config`; `init`, `deploy` and its releases."""

    def _login(self, line: ParsedLine) -> None:
        from heroku_magic.accounts.login import login
        from heroku_magic.accounts.secret_sources import NothingTyped
        from heroku_magic.accounts.settings import names_an_account
        from heroku_magic.accounts.tokens import clock_time

        try:
            done = login(scope=line.options.get("scope", ()), expires=line.options.get("expires"))
        except NothingTyped:
            if names_an_account():
                raise  # cells would not run on the embedded Heroku
            notify("No token. Cells run on the embedded Heroku.")
            return
        until = f" until {clock_time(done.ends_at)}" if done.ends_at else ""
        notify(f"Logged in to {done.host} as {clean_line(done.email)} by {done.source}{until}.")

    def _logout(self, _: ParsedLine) -> None:
        from heroku_magic.accounts.login import logout

        source = logout()
        remaining = f" The token from {source} is still used." if source else ""
        notify(f"The notebook no longer has a token.{remaining}")

    def _status(self, line: ParsedLine) -> None:
        from heroku_magic.accounts.settings import NoApp
        from heroku_magic.app.connect import account, open_apps
        from heroku_magic.display.listing import facts_bundle
        from heroku_magic.display.outputs import show_bundle

        try:
            heroku = self._connect(line)
            facts = heroku.status()
        except NoApp:
            heroku = None
            facts = {"app": "none is chosen (%heroku use NAME, or --local)", **account().status()}
        others = [] if line.options.keys() & {"app", "remote", "worker"} else open_apps()
        for other in others:
            if other is not heroku and (dynos := other.describe_dynos()):
                facts[f"dynos of {other.app}"] = dynos
        facts["today"] = _cost_of_today()
        show_bundle(facts_bundle(facts, "status"))

    def _apps(self, _: ParsedLine) -> Listing:
        from heroku_magic.app.connect import account

        return table(
            "app region stack created released slug_mb",
            [
                (
                    app.name,
                    app.region and app.region.name,
                    app.stack and app.stack.name,
                    app.created_at,
                    app.released_at,
                    None if app.slug_size is None else round(app.slug_size / 1e6, 1),
                )
                for app in account().apps()
            ],
            title="apps",
            sentence="The account has no apps. %heroku create makes one.",
            cell=lambda app: f"%heroku use {app.app}",
        )

    def _use(self, line: ParsedLine) -> None:
        from heroku_magic.app.connect import connect
        from heroku_magic.app.management import shown

        (word,) = line.words
        if "/" not in word and os.sep not in word:
            try:
                self._run_on(connect(word).check())
            except (NotFound, SettingsError) as error:
                hint = f" Did you mean the folder ./{word}?" if Path(word, "Procfile").is_file() else ""
                raise error if not hint else InvalidOptions(f"{error}{hint}") from None
            return
        folder = connect(worker=word).settings.worker or Path(word)
        self.app, self.local, self.worker = None, False, str(folder)
        self._default_worker = folder
        notify(f"Cells run on the embedded Heroku from now on, with {shown(folder)}.")

    def _create(self, line: ParsedLine) -> None:
        from heroku_magic.app.connect import account

        owner = account()
        app = owner.create(line.word, region=line.options.get("region"), stack=line.options.get("stack"))
        where = "on the embedded Heroku, for as long as this kernel lives" if owner.is_embedded else "on Heroku"
        notify(f"Created {app.name} {where}. It has no code yet and costs nothing. To deploy: %heroku deploy FOLDER")
        self._run_on(app.name)

    def _destroy(self, line: ParsedLine) -> None:
        from heroku_magic.app.connect import account

        if line.options.get("leftovers"):
            removed = account().remove_leftovers()
            notify("\n".join(removed) or "Notebooks on this machine left nothing behind.")
            return
        if line.word is None:
            raise InvalidOptions("Name the app to destroy: %heroku destroy NAME --confirm NAME")
        account().destroy(line.word, confirm=line.options.get("confirm", ""))
        notify(f"Destroyed {line.word}.")
        if self.app == line.word:
            self.app = None

    def _config(self, line: ParsedLine) -> None:
        unset = line.options.get("unset")
        if line.word and unset:
            raise InvalidOptions("Set a config var or --unset some, but not both on one line.")
        heroku = self._connect(line)
        if unset is not None:
            heroku.unset_config(*(unset or line.words))
        elif line.word:
            heroku.set_config(line.word)
        else:
            names = [clean_line(name) for name in heroku.config()]
            width = max(map(len, names), default=0)
            notify("\n".join(f"{name:<{width}}  ***" for name in names) or f"{heroku.app_name} has no config vars.")

    def _init(self, line: ParsedLine) -> None:
        from heroku_magic.deploy.scaffold import init

        folder = line.word or "worker"
        path = init(folder)
        notify(f"Created {folder}: {', '.join(file.name for file in sorted(path.iterdir()))}.")
        if not (self.local or self.worker or self._default_worker):
            self._serve_by_default(path)
        option = "" if path == self._default_worker and not self.app else f" --worker {folder}"
        notify(f"Try it on the embedded Heroku: %heroku run{option} --arg n=5")

    def _deploy(self, line: ParsedLine) -> None:
        if not line.options.get("temporary"):
            self._deploy_to(self._connect(line), line)
            return
        if line.options.keys() & {"app", "remote"}:
            raise InvalidOptions("--temporary creates a new app. Use either --temporary or --app (or --remote).")
        from heroku_magic.app.connect import create_temporary

        heroku = create_temporary()
        try:
            self._deploy_to(heroku, line)
        except BaseException:
            heroku.account.discard(heroku.app)
            raise
        self._run_on(heroku.app)
        notify("It is destroyed when this kernel ends.")

    def _deploy_to(self, heroku: Heroku, line: ParsedLine) -> None:
        deploy = heroku.start_deploy(
            line.word or "worker", allow=line.options.get("allow", ()), git="git" in line.options
        )
        is_quiet = self._is_set(line, "quiet")
        try:
            if not is_quiet:
                self._follow(deploy, line)
            deploy.result()
        except KeyboardInterrupt:
            raise Interrupted(deploy.give_up()) from None
        except HerokuMagicError:
            if is_quiet:
                self._follow(deploy, line)
            raise

    def _follow(self, deploy: Deploy, line: ParsedLine) -> None:
        """Show the output of a deploy, from its beginning to its end."""
        from heroku_magic.display import RunOutput

        RunOutput(deploy, verbose=self._is_set(line, "verbose")).follow()

    def _releases(self, line: ParsedLine) -> Listing:
        releases = self._connect(line).releases()
        usable = {f"v{one.version}" for one in releases if one.slug and one.status == "succeeded" and not one.current}
        return table(
            "version status description created current",
            [(f"v{one.version}", one.status, one.description, one.created_at, one.current) for one in releases],
            title="releases",
            sentence="The app has no release yet. %heroku deploy FOLDER makes one.",
            cell=lambda one: f"%heroku rollback {one.version}" if one.version in usable else "",
        )

    def _rollback(self, line: ParsedLine) -> None:
        heroku = self._connect(line)
        release = heroku.rollback(line.words[0])
        notify(f"Released v{release.version} of {heroku.app_name}, a copy of {line.words[0]}.")


def _cost_of_today() -> str:
    from heroku_magic.ledger.database import UnreadableLedger
    from heroku_magic.ledger.history import cost_since
    from heroku_magic.text.plural import quantity

    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        count, dollars = cost_since(midnight.timestamp())
    except UnreadableLedger as error:
        return str(error)
    return f"{quantity(count, 'run')}, ${dollars:.4f}" if count else "no runs in the history"
