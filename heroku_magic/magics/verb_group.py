"""VerbGroup: what each group of verbs needs of its magics: the shell, the settings, a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics
from traitlets import Bool, Dict, Float, Int, Unicode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.accounts.settings import Choice
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.magics.parser import Parsed
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep


class VerbGroup(Magics):
    """A group of verbs: the method of a verb has its name after an underscore and takes what was parsed."""

    app = Unicode(None, allow_none=True, help="The app whose tasks cells run; `%heroku use NAME` sets it.").tag(
        config=True
    )
    local = Bool(default_value=False, help="Always use the embedded Heroku, never an app.").tag(config=True)
    worker = Unicode(None, allow_none=True, help="The folder that the embedded Heroku serves.").tag(config=True)
    size = Unicode(None, allow_none=True, help="Dyno size of runs that name none.").tag(config=True)
    timeout = Int(3600, min=1, max=86400, help="Longest life of a dyno in seconds, boot included.").tag(config=True)
    pace = Int(200, min=0, help="Records a second that a task prints at most; 0: no limit.").tag(config=True)
    prices = Dict(
        key_trait=Unicode(), value_trait=Float(), help="Dollars a month by dyno size, where Heroku's list is not yours."
    ).tag(config=True)
    quiet = Bool(default_value=False, help="Show no log and no status of runs that go well.").tag(config=True)
    verbose = Bool(default_value=False, help="Show Heroku's own lines, times, and whole tracebacks.").tag(config=True)

    @property
    def _shell(self) -> InteractiveShell:
        if self.shell is None:
            message = "the magics were made without a shell"
            raise RuntimeError(message)
        return self.shell

    def _connect(self, parsed: Parsed) -> Heroku:
        from heroku_magic.app.connect import connect

        options = parsed.options
        return connect(
            options.get("app"),
            remote=options.get("remote"),
            local=bool(options.get("local")),
            worker=options.get("worker"),
            size=self.size,
            timeout=self.timeout,
            pace=self.pace,
            prices=self.prices,
            config=self._choice(),
        )

    def _run_on(self, app: str) -> None:
        self.app, self.local, self.worker = app, False, None
        print(f"Cells run on {app} from now on.")

    def _choice(self) -> Choice:
        """What the notebook is set to."""
        from heroku_magic.accounts.settings import Choice

        return Choice(app=self.app, local=self.local, worker=self.worker, source="%config HerokuMagics.app")

    def _bind(self, name: str, run: Run | Sweep) -> None:
        self._shell.user_ns[name] = run.partial

    def _binder(self, name: str) -> Callable[[Run | Sweep], None]:
        """What binds a run's table once it is over, if that went well."""
        return lambda run: self._bind(name, run) if run.exception() is None else None

    def _is(self, options: Mapping[str, Any], name: str) -> bool:
        return bool(options.get(name) or getattr(self, name))
