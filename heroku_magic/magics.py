"""HerokuMagics: `%heroku` and `%%heroku`, options in, result out; it decides nothing of its own.

The line is read by options.py, the body by parameters.py, the verbs are heroku.py's, and display/
shows the run. What is heavy is imported when a cell needs it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, Int, Unicode

from heroku_magic.errors import HerokuMagicError, Interrupted, InvalidOptions, RunCancelled
from heroku_magic.options import Parsed, help_text, parse
from heroku_magic.parameters import read_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.heroku import Heroku
    from heroku_magic.run import Run
    from heroku_magic.tasks import Task


@magics_class
class HerokuMagics(Magics):
    """Serverless functions from a notebook cell; `%heroku --help` explains."""

    app = Unicode(None, allow_none=True, help="The app whose tasks cells run; `%heroku use NAME` sets it.").tag(
        config=True
    )
    local = Bool(default_value=False, help="Always use the embedded Heroku, never an app.").tag(config=True)
    worker = Unicode(None, allow_none=True, help="The folder that the embedded Heroku serves.").tag(config=True)
    size = Unicode(None, allow_none=True, help="Dyno size of runs that name none.").tag(config=True)
    timeout = Int(3600, min=1, max=86400, help="Longest life of a dyno in seconds, boot included.").tag(config=True)
    pace = Int(200, min=0, help="Records a second that a task prints at most; 0: no limit.").tag(config=True)
    quiet = Bool(default_value=False, help="Show no log and no status of runs that go well.").tag(config=True)
    verbose = Bool(default_value=False, help="Show Heroku's own lines, times, and whole tracebacks.").tag(config=True)

    @property
    def _shell(self) -> InteractiveShell:
        if self.shell is None:
            message = "the magics were made without a shell"
            raise RuntimeError(message)
        return self.shell

    @no_var_expand
    @line_cell_magic
    def heroku(self, line: str, cell: str | None = None) -> Any:
        """Run tasks on Heroku one-off dynos, or on the embedded Heroku.

        `%%heroku [TASK] [options]` runs a task with the body's parameters, `%heroku VERB` controls.
        `%heroku --help` and `%%heroku --help` show every verb and option with an example.
        """
        namespace = {**self._shell.user_ns, **_locals_of_caller()}
        with _short_errors(verbose=self.verbose) as errors:
            parsed = parse(line, namespace, cell=cell is not None)
            errors["verbose"] = self.verbose or bool(parsed.options.get("verbose"))
            if parsed.help:
                print(help_text(parsed.verb, cell=cell is not None))
                return None
            if cell is not None or parsed.verb.name == "run":
                return self._run(parsed, _parameters(parsed, cell or "", namespace))
            return getattr(self, f"_{parsed.verb.name}")(parsed)

    def _run(self, parsed: Parsed, parameters: Mapping[str, Any]) -> Any:
        options = parsed.options
        run = self._connect(parsed).submit(
            parsed.words[0] if parsed.words else None,
            parameters,
            command=parsed.command,
            size=options.get("size"),
            timeout=options.get("timeout"),
            any_type=bool(options.get("any_type")),
            override=options.get("override", ()),
            rows=options.get("rows") != "none",
            detach=bool(options.get("detach")),
        )
        return self._shown(run, options)

    def _attach(self, parsed: Parsed) -> Any:
        return self._shown(self._connect(parsed).attach(parsed.words[0]), parsed.options)

    def _shown(self, run: Run, options: Mapping[str, Any]) -> Any:
        is_background = options.get("bg") or options.get("detach")
        return self._in_background(run, options) if is_background else self._in_foreground(run, options)

    def _in_background(self, run: Run, options: Mapping[str, Any]) -> Run:
        from heroku_magic.display import show

        if name := options.get("out"):
            run.add_done_callback(lambda ended: self._bind(name, ended) if ended.exception() is None else None)
        show(run, quiet=self._is(options, "quiet"), verbose=self._is(options, "verbose"), background=True)
        return run

    def _in_foreground(self, run: Run, options: Mapping[str, Any]) -> Any:
        self._watch(run, options)
        name = options.get("out")
        error = None if options.get("no_raise") else run.exception()
        if error is not None:
            self._shell.user_ns.pop(name, None)
            raise error.with_traceback(None)
        return self._bind(name, run) if name else run.partial

    def _watch(self, run: Run, options: Mapping[str, Any]) -> None:
        """Show the run until it is over. One interrupt stops the dyno, a second one lets go of it.

        A detached run is meant to go on: there the first one lets go.
        """
        from heroku_magic.display import Output

        output = Output(run, quiet=self._is(options, "quiet"), verbose=self._is(options, "verbose"))
        try:
            output.follow()
        except KeyboardInterrupt:
            if run.outlives:
                output.leave()
                raise Interrupted(
                    f"Let go of {run.id}: its dyno goes on (`%heroku attach {run.id}`, `%heroku stop {run.dyno}`)."
                ) from None
            run.cancel()
            try:
                output.follow()
            except KeyboardInterrupt:
                output.leave()
                raise RunCancelled(
                    f"Let go of {run.id} while it was being stopped. {run.what_remains()}", run
                ) from None

    def _bind(self, name: str, run: Run) -> None:
        self._shell.user_ns[name] = run.partial

    # -- the verbs that control --------------------------------------------------------------------

    def _tasks(self, parsed: Parsed) -> None:
        tasks = self._connect(parsed).tasks()
        wanted = [task for task in tasks if not parsed.words or task.name == parsed.words[0]]
        if parsed.words and not wanted:
            names = ", ".join(task.name for task in tasks) or "none"
            raise InvalidOptions(f"There is no task {parsed.words[0]!r}. The app has: {names}.")
        print("\n\n".join(task.help() if parsed.words else _in_short(task) for task in wanted))

    def _ps(self, parsed: Parsed) -> Any:
        from heroku_magic.frames import table
        from heroku_magic.heroku import run_id

        columns = ["dyno", "state", "size", "command", "since", "run"]
        rows = [
            dict(
                zip(
                    columns,
                    (dyno.name, dyno.state, dyno.size, dyno.command, dyno.created_at, run_id(dyno)),
                    strict=True,
                )
            )
            for dyno in self._connect(parsed).dynos()
        ]
        return table(rows, columns)

    def _stop(self, parsed: Parsed) -> None:
        heroku = self._connect(parsed)
        for dyno in parsed.words:
            name = heroku.stop(dyno, any_dyno=bool(parsed.options.get("any")))
            print(f"Stopping {name}: SIGTERM, and SIGKILL after 30 s.")

    def _logs(self, parsed: Parsed) -> None:
        from heroku_magic.safetext import clean_line, mask_emails

        lines = self._connect(parsed).logs(parsed.words[0])
        for line in lines:
            print(clean_line(str(line) if parsed.options.get("verbose") else mask_emails(str(line))))
        if not lines:
            print(f"Heroku holds no lines of {parsed.words[0]} any more (it keeps the app's last 1,500 lines).")

    def _last(self, _: Parsed) -> Run | None:
        from heroku_magic.heroku import last

        run = last()
        if run is None:
            print("No run was started in this kernel yet.")
        return run

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

    def _connect(self, parsed: Parsed) -> Heroku:
        from heroku_magic.heroku import connect
        from heroku_magic.settings import Choice

        options = parsed.options
        return connect(
            options.get("app"),
            remote=options.get("remote"),
            local=bool(options.get("local")),
            worker=options.get("worker"),
            size=self.size,
            timeout=self.timeout,
            pace=self.pace,
            config=Choice(app=self.app, local=self.local, worker=self.worker, source="%config HerokuMagics.app"),
        )

    def _is(self, options: Mapping[str, Any], name: str) -> bool:
        return bool(options.get(name) or getattr(self, name))


def load(shell: InteractiveShell) -> None:
    """Register the magics, and the transformer that lets a cell be only `%%heroku …`."""
    unload(shell)
    shell.register_magics(HerokuMagics)
    transformers = shell.input_transformers_cleanup
    transformers.insert(0, give_empty_body)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` added; harmless where nothing is loaded."""
    for kind in shell.magics_manager.magics.values():
        kind.pop("heroku", None)
    shell.magics_manager.registry.pop("HerokuMagics", None)
    # By name: after `%reload_ext` these are objects of an earlier import.
    shell.configurables[:] = [one for one in shell.configurables if type(one).__name__ != "HerokuMagics"]
    kept = [one for one in shell.input_transformers_cleanup if getattr(one, "__name__", "") != "give_empty_body"]
    shell.input_transformers_cleanup[:] = kept


def give_empty_body(lines: list[str]) -> list[str]:
    r"""Give a cell that is only `%%heroku …` an empty body: IPython refuses a cell magic without one.

    >>> give_empty_body(["%%heroku --arg n=10"])
    ['%%heroku --arg n=10\n', '\n']
    """
    words = lines[0].split(maxsplit=1) if lines else []
    if not words or words[0] != "%%heroku" or "".join(lines[1:]).strip():
        return lines
    return [lines[0].rstrip("\n") + "\n", "\n"]


# IPython then leaves it out when it asks whether what was typed so far is complete: in a terminal a
# body may still follow.
give_empty_body.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own convention


def _in_short(task: Task) -> str:
    lines = [f"{task.name}({task.signature})", task.summary, task.example]
    return "\n    ".join(filter(None, lines))


def _parameters(parsed: Parsed, body: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The body's and the line's parameters; a name given in both is an error."""
    given, assigned = dict(parsed.arguments), read_body(body, namespace)
    if twice := sorted(given.keys() & assigned.keys()):
        raise InvalidOptions(f"{', '.join(twice)}: given in the body and by --arg. Give each parameter once.")
    if parsed.command is not None and assigned:
        raise InvalidOptions("A command after -- takes its parameters by --arg, not from a body.")
    return {**assigned, **given}


# Older IPythons wrap magics with generated functions, whose frames have no module's name.
_NOT_THE_CALLER = frozenset({"heroku_magic", "IPython", "decorator", ""})


def _locals_of_caller() -> Mapping[str, Any]:
    """The variables of the code that calls the magic: a function's locals, or the notebook's own.

    IPython hands a cell magic the notebook's variables alone, so the frames are asked.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - there is no public name
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_CALLER:
        frame = frame.f_back
    return frame.f_locals


@contextmanager
def _short_errors(*, verbose: bool) -> Iterator[dict[str, bool]]:
    """Our own errors show themselves in a few lines; an interrupt shows no frames, for they may hold a token."""
    state = {"verbose": verbose}
    try:
        yield state
    except HerokuMagicError as error:
        error.verbose = state["verbose"]
        raise
    except KeyboardInterrupt:
        raise Interrupted("Interrupted before a dyno was started; nothing was left running.") from None
