"""The verbs that start, follow and inspect runs, sweeps and forms."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import HerokuMagicError, Interrupted, InvalidOptions, RunCancelled
from heroku_magic.magics.verb_group import VerbGroup, table
from heroku_magic.protocol.polars_frame import converted
from heroku_magic.runs.options import RunOptions, SweepOptions, from_command_line, option_names, pick
from heroku_magic.runs.started_by_call import stop_all, wait_for_stop
from heroku_magic.text.notifier import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heroku_magic.api.resources import Dyno
    from heroku_magic.app.heroku import Heroku
    from heroku_magic.display import RunOutput
    from heroku_magic.display.listing import Listing
    from heroku_magic.display.sweep_output import SweepOutput
    from heroku_magic.magics.parser import ParsedLine
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep
    from heroku_magic.warm.warm_dyno import WarmDyno
    from heroku_magic.widgets import Form

_SWEEP_ONLY = option_names(SweepOptions) - option_names(RunOptions)
_DYNO_COLUMNS = ("dyno", "state", "size", "warm", "command", "since", "run", "app")


class RunVerbs(VerbGroup):
    """`run` and `%%dyno`, `form`, `attach`, `resume`, `last`, `tasks`, `ps`, `stop`, `logs`."""

    def _run(self, line: ParsedLine) -> Any:
        if line.options.get("form"):
            return self._form(line)
        if not line.each and (ignored := [name for name in line.options if name in _SWEEP_ONLY]):
            raise InvalidOptions(f"--{ignored[0].replace('_', '-')} is for sweeps. To start a sweep, use --each NAME.")
        options = {"code": line.code, **from_command_line(line.options, RunOptions, SweepOptions)}
        options["inputs"] = line.options.get("input", ())
        if line.options.get("no_cache"):
            if options.get("cache"):
                raise InvalidOptions("--cache and --no-cache contradict each other. Give one of them.")
            options["cache"] = False
        if (answer := self._answer(line, options)) is not None:
            return self._watch_job(answer, line)
        heroku = self._connect(line)
        if line.options.get("dry_run"):
            notify(str(heroku.estimate(line.word, line.each, line.parameters, command=line.command, **options)))
            return None
        if not line.each:
            return self._watch_job(heroku.submit(line.word, line.parameters, command=line.command, **options), line)
        if line.command is not None:
            raise InvalidOptions("--each is for tasks. A command after -- is a single run.")
        return self._watch_job(heroku.sweep(line.word, line.each, line.parameters, **options), line)

    _dyno = _run

    def _answer(self, line: ParsedLine, options: Mapping[str, Any]) -> Run | Sweep | None:
        """Return earlier runs that answer a line for a served folder: no embedded Heroku is needed for them."""
        if line.command is not None or line.options.get("dry_run"):
            return None
        if not pick(RunOptions, options).wants_cache and not self.cache:
            return None
        from heroku_magic.app.connect import answer_of_folder, answer_sweep_of_folder

        where = {name: line.options.get(name) for name in ("app", "remote", "worker")}
        where |= {"local": bool(line.options.get("local")), "config": self._choice()}
        if line.each:
            return answer_sweep_of_folder(line.word, line.each, line.parameters, options, **where)
        return answer_of_folder(line.word, line.parameters, options, **where)

    def _form(self, line: ParsedLine) -> Form | None:
        from heroku_magic.display.outputs import in_notebook
        from heroku_magic.widgets.form_factory import form

        if line.command is not None:
            raise InvalidOptions("A form is for a task; a command after -- has no parameters to fill in.")
        options = line.options
        if "export" in options:
            self._export(line)
            return None
        if ignored := options.keys() & {"api_url", "force"}:
            raise InvalidOptions(f"--{min(ignored).replace('_', '-')} has an effect on files only. Add --export FILE.")
        shown = form(
            line.word,
            line.parameters,
            each=line.each,
            heroku=self._connect(line),
            on_success=self._binder(options["out"]) if "out" in options else None,
            verbose=self._is_set(line, "verbose"),
            line={**options, **({"rows": "none"} if "rows" in options else {})},
            **from_command_line(options, RunOptions, SweepOptions),
        )
        if in_notebook():  # in a terminal, the value of the cell shows it
            shown.show()
        return shown

    def _export(self, line: ParsedLine) -> None:
        from heroku_magic.widgets.export import export_form, message

        options = from_command_line(line.options, RunOptions, SweepOptions)
        options |= {name: line.options[name] for name in ("api_url", "force") if name in line.options}
        if ignored := line.options.keys() & {"out", "verbose", "dry_run"}:
            raise InvalidOptions(f"--{min(ignored)} has no effect on a file. Leave it out.")
        heroku, target = self._connect(line), line.options["export"]
        file = export_form(line.word, target, line.parameters, heroku=heroku, each=line.each, **options)
        print(message(file, heroku, options.get("max_cost")))

    def _attach(self, line: ParsedLine) -> Any:
        from heroku_magic.app.resume import home
        from heroku_magic.runs.detached import load
        from heroku_magic.sweeps.journal import ID

        run = line.words[0]
        place = home(run) if ID.fullmatch(run) else load(run).place
        return self._watch_job(self._home(line, place).attach(run), line)

    def _rerun(self, line: ParsedLine) -> Any:
        from heroku_magic.app.rerun import rerun, where
        from heroku_magic.ledger.history import find

        entry, is_elsewhere = find(line.words[0]), line.options.keys() & {"app", "remote", "local", "worker"}
        there = line if is_elsewhere else replace(line, options={**line.options, **where(entry)})
        heroku = self._connect(there, is_typed=bool(is_elsewhere))
        return self._watch_job(rerun(heroku, entry, line.parameters, self._shell.user_ns), line)

    def _resume(self, line: ParsedLine) -> Any:
        from heroku_magic.app.recorded_app import last
        from heroku_magic.app.resume import home
        from heroku_magic.sweeps.sweep import Sweep

        earlier = last()
        save = line.word or (earlier if isinstance(earlier, Sweep) else None)
        if save is None:
            raise InvalidOptions(
                "No sweep has been started in this kernel. To continue one recorded with --save: %heroku resume FILE"
            )
        return self._watch_job(self._home(line, home(save)).resume(save), line)

    def _home(self, line: ParsedLine, place: tuple[str, str] | None) -> Heroku:
        """Return the app that a line names, else the one at this place (host, app), else the one that cells run on."""
        from heroku_magic.api.host import base_url
        from heroku_magic.app.connect import open_apps

        if place and not line.options.keys() & {"app", "remote", "local", "worker"}:
            if heroku := next((one for one in open_apps() if place == (one.client.base_url, one.app)), None):
                return heroku
            if place[0] == base_url():  # the token goes to no host but this one
                line = replace(line, options={**line.options, "app": place[1]})
        return self._connect(line)

    def _last(self, _: ParsedLine) -> Run | Sweep | None:
        from heroku_magic.app.recorded_app import last

        run = last()
        if run is None:
            notify("No run has been started in this kernel yet.")
        return run

    def _tasks(self, line: ParsedLine) -> None:
        from heroku_magic.display.listing import task_bundle, tasks_bundle
        from heroku_magic.display.outputs import show_bundle
        from heroku_magic.protocol.json_schema import did_you_mean

        tasks = self._connect(line).tasks()
        chosen = [task for task in tasks if line.word in {None, task.name}]
        if line.word and not chosen:
            names = ", ".join(task.name for task in tasks) or "none"
            hint = did_you_mean(line.word, (task.name for task in tasks))
            raise InvalidOptions(f'There is no task "{line.word}".{hint} The app has: {names}.')
        show_bundle(task_bundle(chosen[0]) if line.word else tasks_bundle(tasks))

    def _ps(self, line: ParsedLine) -> Listing:
        apps = self._open_apps(line)
        warm = {(heroku.app, dyno): state for heroku in apps for dyno, state in heroku.warm_states().items()}
        rows = [_dyno_row(dyno, heroku.app, warm) for heroku in apps for dyno in heroku.dynos()]
        is_shown = {"warm": bool(warm), "app": len(apps) > 1}
        shown = [number for number, column in enumerate(_DYNO_COLUMNS) if is_shown.get(column, True)]
        names = [row[0] for row in rows]

        def next_cell(dyno: Any) -> str:
            if not isinstance(dyno.run, str):
                return f"%heroku logs {dyno.dyno}"
            return f"%heroku stop {dyno.dyno if names.count(dyno.dyno) == 1 else dyno.run}"

        return table(
            " ".join(_DYNO_COLUMNS[number] for number in shown),
            [[row[number] for number in shown] for row in rows],
            title="dynos",
            sentence="No dyno is running.",
            cell=next_cell,
        )

    def _warm(self, line: ParsedLine) -> Listing | None:
        from heroku_magic.text.plural import quantity

        if line.word is not None and not line.word.isdecimal():
            raise InvalidOptions(f'"{line.word}" is not a number of dynos. Expected, for example, %heroku warm 2')
        given = {name: line.options[name] for name in ("size", "idle", "life") if name in line.options}
        if given and not int(line.word or 0):
            hint = "%heroku warm lists the dynos of all sizes, and %heroku warm 0 stops them."
            raise InvalidOptions(f"--{min(given)} needs a number of dynos to keep, such as %heroku warm 2. {hint}")
        heroku = self._connect(line)
        before = heroku.warm()
        dynos = heroku.warm(None if line.word is None else int(line.word), **given)
        stopped = [str(one.dyno) for one in before if one not in dynos]
        if stopped:
            notify(f"{quantity(len(stopped), 'warm dyno')} stopped: {', '.join(stopped)}.")
        elif not dynos:
            notify("No dyno is warm. The first cell with --warm boots one; %heroku warm N boots N.")
        return _warm_table(dynos) if dynos else None

    def _stop(self, line: ParsedLine) -> None:
        from heroku_magic.magics.app_search import find_dyno

        apps = self._open_apps(line)
        for heroku, dyno in [find_dyno(apps, wanted) for wanted in line.words]:
            name = heroku.stop(dyno.id, any_dyno=bool(line.options.get("any")))
            notify(f"Stopping {name}: SIGTERM now, SIGKILL after 30 s.")

    def _logs(self, line: ParsedLine) -> None:
        from heroku_magic.magics.app_search import find_log
        from heroku_magic.protocol.decoder import is_record
        from heroku_magic.text.plural import quantity
        from heroku_magic.text.sanitize import clean_line, mask_emails

        (dyno,), is_verbose = line.words, line.options.get("verbose")
        log = find_log(self._open_apps(line), dyno)
        shown = [entry for entry in log if is_verbose or not is_record(entry.message)]
        for entry in shown:
            print(clean_line(str(entry) if is_verbose else mask_emails(str(entry))))
        if hidden := len(log) - len(shown):
            notify(f"Not shown: {quantity(hidden, 'line')} with rows, progress and the like. --verbose shows all.")
        if not log:
            notify(
                f"No line of {dyno} is among the app's last 1,500, which is all that Heroku keeps. `%heroku history` "
                "lists the runs, and `%heroku show RUN` shows the log of one."
            )

    def _watch_job(self, job: Run | Sweep, line: ParsedLine) -> Any:
        """Show a run or a sweep until it ends and return its table; with --bg return it at once."""
        if line.options.get("notify"):
            from heroku_magic.display.end_signal import signal_end

            signal_end(job)
        if line.options.get("bg") or line.options.get("detach"):
            if name := line.options.get("out"):
                job.call_when_done(self._binder(name, line.options.get("as", "pandas")))
            from heroku_magic.display.job_display import follow_in_cell

            follow_in_cell(job, self._output(job, line, is_background=True))
            return job
        self._watch(job, line)
        try:
            return self._result(job, line)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted after {job.id} ended; nothing was left running. Its rows are kept: "
                "`%heroku last` has .partial."
            ) from None

    def _result(self, job: Run | Sweep, line: ParsedLine) -> Any:
        """Return the table of a run or sweep that has ended, or assign it to the variable of --out."""
        name = line.options.get("out")
        error = None if line.options.get("no_raise") else job.exception()
        if error is not None:
            self._shell.user_ns.pop(name, None)
            self._show_partial(job)
            job._result_was_read()  # noqa: SLF001 - as `result()` does
            raise error.with_traceback(None)
        table = converted(job.partial, line.options.get("as", "pandas"))
        job._result_was_read()  # noqa: SLF001
        if not name:
            return table
        self._shell.user_ns[name] = table
        return None

    def _show_partial(self, job: Run | Sweep) -> None:
        """Show the rows of a sweep that failed in part, and let its error's last line find `heroku_magic`."""
        from heroku_magic.sweeps.sweep import Sweep

        if isinstance(job, Sweep) and (rows := job.partial) is not None:
            from IPython.display import display

            display(rows)  # type: ignore[no-untyped-call]  # no hints in IPython
            self._shell.user_ns.setdefault("heroku_magic", sys.modules["heroku_magic"])

    def _binder(self, name: str, library: str = "pandas") -> Callable[[Run | Sweep], None]:
        """Return a callback that assigns the table of a successful run to a variable."""

        def bind(job: Run | Sweep) -> None:
            if job.exception() is None:
                try:
                    self._shell.user_ns[name] = converted(job.partial, library)
                    job._result_was_read()  # noqa: SLF001
                except InvalidOptions as error:
                    notify(str(error))

        return bind

    def _output(self, job: Run | Sweep, line: ParsedLine, *, is_background: bool = False) -> RunOutput | SweepOutput:
        from heroku_magic.display.job_display import output_of

        quiet, verbose = self._is_set(line, "quiet"), self._is_set(line, "verbose")
        with_error = bool(line.options.get("no_raise"))
        return output_of(job, quiet=quiet, verbose=verbose, background=is_background, with_error=with_error)

    def _watch(self, job: Run | Sweep, line: ParsedLine) -> None:
        """Show a run or a sweep until it ends. One interrupt stops its dynos and waits for them; a second one lets go.

        A detached run is meant to continue, so the first interrupt only stops following it.
        """
        output = None
        try:
            output = self._output(job, line)  # it already runs, so an interrupt in here has to stop it, too
            output.follow()
        except Exception as error:
            stop_all([job])
            what = f"The output of {job.id} cannot be shown: {type(error).__name__}: {error}."
            raise HerokuMagicError(f"{what} {job.outcome_message()}") from error
        except KeyboardInterrupt:
            if job.is_detached:
                _leave(output)
                raise Interrupted(_goes_on(job)) from None
            job.cancel()
            _follow_to_end(output or self._output(job, line), job)


def _dyno_row(dyno: Dyno, app: str, warm: Mapping[tuple[str, str], str]) -> tuple[Any, ...]:
    """Return what `ps` shows of a dyno, in the order of its columns. warm: states by app and dyno."""
    from heroku_magic.bundle.shipped import COMMAND
    from heroku_magic.runs.command_mark import run_id, without_mark

    run = run_id(dyno.command)
    command = without_mark(dyno.command, run) if run else dyno.command
    shown = "code of a notebook" if command.endswith(COMMAND) else command
    return dyno.name, dyno.state, dyno.size, warm.get((app, dyno.name), ""), shown, dyno.created_at, run, app


def _follow_to_end(output: RunOutput | SweepOutput, job: Run | Sweep) -> None:
    """Show the end of what was cancelled."""
    try:
        wait_for_stop(job, output.follow)
    except KeyboardInterrupt:
        from heroku_magic.runs.run import Run

        _leave(output)
        message = f"Stopped following {job.id} before all its dynos were gone. {job.leftover_message()}"
        raise (RunCancelled(message, job) if isinstance(job, Run) else Interrupted(message)) from None


def _leave(output: RunOutput | SweepOutput | None) -> None:
    """Draw a run once more in its permanent form; a sweep always is."""
    if output is not None and hasattr(output, "leave"):
        output.leave()


def _goes_on(job: Run | Sweep) -> str:
    dyno = getattr(job, "dyno", None)
    how = f"`%heroku stop {dyno}`" if dyno else "call .cancel() on `%heroku last`"
    return (
        f"Stopped following {job.id}, which continues. Follow it again: `%heroku attach {job.id}`. To stop it: {how}."
    )


def _warm_table(dynos: Sequence[WarmDyno]) -> Listing:
    """Return what warm dynos do and cost."""
    has_packages = any(one.spec.packages for one in dynos)
    rows = [
        (
            *(one.dyno, one.state, one.info.size, one.info.release.version, one.calls),
            f"{one.memory >> 20} MB" if one.memory else "",  # unknown before the first ping, and on macOS
            *(one.seconds, one.dollars),
            *[", ".join(one.spec.packages)] * has_packages,
        )
        for one in dynos
    ]
    columns = "dyno state size release calls memory seconds dollars" + " packages" * has_packages
    return table(columns, rows, title="warm dynos")
