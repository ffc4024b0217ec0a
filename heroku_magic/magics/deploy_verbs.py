"""Shipping: the verbs that write a worker folder, deploy it, and go back to an earlier release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.errors import Interrupted, InvalidOptions
from heroku_magic.magics.verb_group import VerbGroup

if TYPE_CHECKING:
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.magics.parser import Parsed


class Shipping(VerbGroup):
    """`init`, `deploy`, `releases`, `rollback`."""

    def _init(self, parsed: Parsed) -> None:
        from heroku_magic.deploy.scaffold import init

        folder = parsed.words[0] if parsed.words else "worker"
        names = ", ".join(path.name for path in sorted(init(folder).iterdir()))
        print(f"Wrote {folder}: {names}.\nTry it on the embedded Heroku: %heroku run --worker {folder} --arg n=5")

    def _deploy(self, parsed: Parsed) -> None:
        if not parsed.options.get("temporary"):
            self._ship(self._connect(parsed), parsed)
            return
        if parsed.options.keys() & {"app", "remote"}:
            raise InvalidOptions("--temporary makes an app of its own: give it, or --app (or --remote).")
        from heroku_magic.app.connect import create_temporary

        heroku = create_temporary()
        try:
            self._ship(heroku, parsed)
        except BaseException:
            heroku.account.discard(heroku.app, say=heroku.say)
            raise
        self._run_on(heroku.app)
        print("It is destroyed when this kernel ends.")

    def _ship(self, heroku: Heroku, parsed: Parsed) -> None:
        from heroku_magic.display import RunOutput

        folder = parsed.words[0] if parsed.words else "worker"
        deploy = heroku.start_deploy(folder, allow=parsed.options.get("allow", ()))
        output = RunOutput(deploy, quiet=self._is(parsed.options, "quiet"), verbose=self._is(parsed.options, "verbose"))
        try:
            output.follow()
        except KeyboardInterrupt:
            raise Interrupted(deploy.give_up()) from None
        deploy.result()

    def _releases(self, parsed: Parsed) -> Any:
        from heroku_magic.protocol.dataframe import table

        columns = ["version", "status", "description", "created", "current"]
        rows = [
            dict(
                zip(columns, (f"v{one.version}", one.status, one.description, one.created_at, one.current), strict=True)
            )
            for one in self._connect(parsed).releases()
        ]
        return table(rows, columns)

    def _rollback(self, parsed: Parsed) -> None:
        heroku = self._connect(parsed)
        release = heroku.rollback(parsed.words[0])
        print(f"Released v{release.version} of {heroku.app_name}, which is {parsed.words[0]} again.")
