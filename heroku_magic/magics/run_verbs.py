"""Runs: the verbs that start, follow and read runs; and those that look at dynos."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import Interrupted, InvalidOptions, RunCancelled
from heroku_magic.magics.verb_group import VerbGroup
from heroku_magic.magics.wishes import of_run, of_sweep, task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.display.sweep_output import SweepOutput
    from heroku_magic.magics.parser import Parsed
    from heroku_magic.protocol.task import Task
    from heroku_magic.runs.run import Run
    from heroku_magic.sweeps.sweep import Sweep


class Runs(VerbGroup):
    """`run`, `attach`, `resume`, `last`, `tasks`, `ps`, `stop`, `logs`."""

    def _run(self, parsed: Parsed, parameters: Mapping[str, Any]) -> Any:
        run = self._connect(parsed).submit(task(parsed), parameters, command=parsed.command, **of_run(parsed))
        return self._shown(run, parsed.options)

    def _sweep(self, parsed: Parsed, each: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
        if parsed.command is not None:
            raise InvalidOptions("--each is for a task; a command after -- makes one run.")
        sweep = self._connect(parsed).sweep(task(parsed), each, parameters, **of_sweep(parsed), **of_run(parsed))
        return self._swept(sweep, parsed.options)

    def _estimate(self, parsed: Parsed, each: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """What `--dry-run` says."""
        wish = {**of_sweep(parsed), **of_run(parsed), "command": parsed.command}
        print(self._connect(parsed).estimate(task(parsed), each, parameters, **wish))

    def _resume(self, parsed: Parsed) -> Any:
        from heroku_magic.app.heroku import last
        from heroku_magic.sweeps.sweep import Sweep

        earlier = last()
        save = parsed.words[0] if parsed.words else earlier if isinstance(earlier, Sweep) else None
        if save is None:
            raise InvalidOptions(
                "No sweep was made in this kernel yet: %heroku resume FILE goes on with one that --save wrote."
            )
        return self._swept(self._connect(parsed).resume(save), parsed.options)

    def _swept(self, sweep: Sweep, options: Mapping[str, Any]) -> Any:
        """Show the sweep until it is over, or behind the cell's back."""
        name = options.get("out")
        if options.get("bg") or options.get("detach"):
            output = self._sweep_output(sweep, options, background=True)
            sweep.add_done_callback(lambda _: self._bind_sweep(name, sweep) if sweep.exception() is None else None)
            Thread(target=output.follow, name="heroku_magic display", daemon=True).start()
            return sweep
        self._watch_sweep(sweep, options)
        error = None if options.get("no_raise") else sweep.exception()
        if error is not None:
            self._shell.user_ns.pop(name, None)
            raise error.with_traceback(None)
        self._bind_sweep(name, sweep)
        return None if name else sweep.partial

    def _sweep_output(self, sweep: Sweep, options: Mapping[str, Any], *, background: bool = False) -> SweepOutput:
        from heroku_magic.display.sweep_output import SweepOutput

        return SweepOutput(sweep, quiet=self._is(options, "quiet"), background=background)

    def _watch_sweep(self, sweep: Sweep, options: Mapping[str, Any]) -> None:
        """Follow the sweep. One interrupt stops all its dynos and waits until they are gone, a second one lets go.

        A detached sweep is meant to go on: there the first one lets go.
        """
        output = None
        try:
            output = self._sweep_output(sweep, options)  # it runs already: an interrupt meanwhile is meant for it
            output.follow()
        except KeyboardInterrupt:
            if sweep.is_detached:
                raise Interrupted(
                    f"Let go of {sweep.id}, which goes on: %heroku last is the sweep, and .cancel() stops it."
                ) from None
            sweep.cancel()
            try:
                (output or self._sweep_output(sweep, options)).follow()
            except KeyboardInterrupt:
                raise Interrupted(
                    f"Let go of {sweep.id} while it was being stopped. {sweep.leftover_message()}"
                ) from None

    def _bind_sweep(self, name: str | None, sweep: Sweep) -> None:
        if name:
            self._shell.user_ns[name] = sweep.partial

    def _attach(self, parsed: Parsed) -> Any:
        from heroku_magic.runs.run import Run

        attached = self._connect(parsed).attach(parsed.words[0])
        if isinstance(attached, Run):
            return self._shown(attached, parsed.options)
        return self._swept(attached, parsed.options)

    def _shown(self, run: Run, options: Mapping[str, Any]) -> Any:
        is_background = options.get("bg") or options.get("detach")
        return self._in_background(run, options) if is_background else self._in_foreground(run, options)

    def _in_background(self, run: Run, options: Mapping[str, Any]) -> Run:
        from heroku_magic.display import show

        if name := options.get("out"):
            run.add_done_callback(self._binder(name))
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
        from heroku_magic.display import RunOutput

        output = RunOutput(run, quiet=self._is(options, "quiet"), verbose=self._is(options, "verbose"))
        try:
            output.follow()
        except KeyboardInterrupt:
            if run.is_detached:
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
                    f"Stopped waiting for {run.id} while it was being stopped. {run.leftover_message()}", run
                ) from None

    def _last(self, _: Parsed) -> Run | Sweep | None:
        from heroku_magic.app.heroku import last

        run = last()
        if run is None:
            print("No run was started in this kernel yet.")
        return run

    def _tasks(self, parsed: Parsed) -> None:
        tasks = self._connect(parsed).tasks()
        wanted = [task for task in tasks if not parsed.words or task.name == parsed.words[0]]
        if parsed.words and not wanted:
            names = ", ".join(task.name for task in tasks) or "none"
            raise InvalidOptions(f"There is no task {parsed.words[0]!r}. The app has: {names}.")
        print("\n\n".join(task.help() if parsed.words else _in_short(task) for task in wanted))

    def _ps(self, parsed: Parsed) -> Any:
        from heroku_magic.app.heroku import run_id
        from heroku_magic.protocol.dataframe import table

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
        from heroku_magic.text.sanitize import clean_line, mask_emails

        lines = self._connect(parsed).logs(parsed.words[0])
        for line in lines:
            print(clean_line(str(line) if parsed.options.get("verbose") else mask_emails(str(line))))
        if not lines:
            print(f"Heroku holds no lines of {parsed.words[0]} any more (it keeps the app's last 1,500 lines).")


def _in_short(task: Task) -> str:
    lines = [f"{task.name}({task.signature})", task.summary, task.example]
    return "\n    ".join(filter(None, lines))
