"""Account: the verbs about the account and its apps: which one cells run on, and what it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heroku_magic.magics.group import VerbGroup

if TYPE_CHECKING:
    from heroku_magic.options import Parsed


class Account(VerbGroup):
    """`status`, `use`."""

    def _status(self, parsed: Parsed) -> None:
        facts = self._connect(parsed).status()
        width = max(map(len, facts))
        for name, value in facts.items():
            print(f"{name:<{width}}  {value}")

    def _use(self, parsed: Parsed) -> None:
        from heroku_magic.heroku import connect

        app = connect(parsed.words[0]).check()
        self.app, self.local, self.worker = app, False, None
        print(f"Cells run on {app} from now on.")
