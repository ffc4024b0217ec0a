"""The verbs that create and deploy a worker folder, and list or roll back releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.errors import HerokuMagicError, Interrupted, InvalidOptions
from heroku_magic.magics.verb_group import VerbGroup, table
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.deploy.deploy import Deploy
    from heroku_magic.display.listing import Listing
    from heroku_magic.magics.parser import ParsedLine


class DeployVerbs(VerbGroup):
    """`init`, `deploy`, `releases`, `rollback`."""

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
