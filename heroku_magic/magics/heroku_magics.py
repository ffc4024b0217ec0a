"""The magics `%heroku`, `%%heroku` and `%%dyno`, and how they are registered with IPython."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.magic import cell_magic, line_cell_magic, magics_class, no_var_expand
from traitlets import TraitError

from heroku_magic.accounts.settings import Choice, check_current_folder, follow_notebook
from heroku_magic.errors import HerokuMagicError, Interrupted, SettingsError
from heroku_magic.ledger import location
from heroku_magic.magics.account_verbs import AccountVerbs
from heroku_magic.magics.commands import MAGICS
from heroku_magic.magics.help_text import help_text
from heroku_magic.magics.history_verbs import HistoryVerbs
from heroku_magic.magics.ipython_completion import register, unregister
from heroku_magic.magics.parser import parse
from heroku_magic.magics.run_verbs import RunVerbs
from heroku_magic.runs.started_by_call import started_jobs, stop_all
from heroku_magic.text.notifier import notifications_to, notify
from heroku_magic.warm import restart_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.magics.completion import Matches
    from heroku_magic.magics.completion_sources import CompletionSources
    from heroku_magic.magics.parser import ParsedLine
    from heroku_magic.runs.future import TableFuture

# Older versions of IPython wrap magics in generated functions, whose frames have no module name.
_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_VERB_HELP = re.compile(r"(%heroku [\w:]+) ?\?{1,2}")
_NOT_THE_CALLER = frozenset({"heroku_magic", "IPython", "decorator", ""})


@magics_class
class HerokuMagics(RunVerbs, HistoryVerbs, AccountVerbs):
    """Run tasks and code on Heroku from notebook cells; `%heroku --help` lists what you can do."""

    _completion_sources: CompletionSources | None = None

    @no_var_expand
    @line_cell_magic
    def heroku(self, line: str, cell: str | None = None) -> Any:
        """Run tasks on Heroku one-off dynos, or on the embedded Heroku.

        A cell runs a task with the parameters that its body assigns; its value is
        a DataFrame:

            %%heroku [TASK] [options]
            n = 10

        A line runs a task, too, or controls dynos and apps:

            %heroku tasks                         list the tasks and their parameters
            df = %heroku run TASK --arg n=10
            %heroku run -- python --version       run any command
            %heroku ps, stop, logs, last          dynos and runs
            %heroku history, show, rerun, diff    earlier runs
            %heroku login, create, deploy, use    your apps

        The Tab key completes verbs, options, tasks, parameters and values.
        `%heroku --help` lists all verbs, `%heroku VERB --help` and
        `%%heroku --help` all options, and `%heroku tasks TASK` one task's
        parameters, each with an example to paste.
        """
        return self._run_magic(line, cell, "%%heroku")

    @no_var_expand
    @cell_magic
    def dyno(self, line: str, cell: str) -> Any:
        """Run the cell's own Python code on a dyno, in any app that has Python.

            %%dyno --arg n=1000 --out df
            for name in ["Ada", "Grace"]:
                emit({"name": name, "n": n})

        What it emits, or the value of its last expression, comes back as a
        DataFrame. `%%dyno --help` lists all options.
        """
        return self._run_magic(line, cell, "%%dyno")

    def _run_magic(self, line: str, cell: str | None, magic: str) -> Any:
        parsed: ParsedLine | None = None
        with started_jobs() as jobs, notifications_to(_show_notice):
            try:
                parsed = parse(line, {**self._shell.user_ns, **_locals_of_caller()}, body=cell, magic=magic)
                if parsed.help:
                    print(help_text(parsed.verb, is_cell=cell is not None))
                    return None
                return getattr(self, f"_{parsed.verb.name}")(parsed)
            except HerokuMagicError as error:
                error.verbose = self.verbose or (parsed is not None and "verbose" in parsed.options)
                name = _UNDEFINED.search(str(error))
                if magic == "%%dyno" and name and name[1] in self._shell.user_ns:
                    notify(f'"{name[1]}" is a variable of this notebook. To send it along: `%%dyno -i {name[1]}`')
                raise
            except KeyboardInterrupt:  # its traceback would show frames that may hold a token
                starts_dyno = cell is not None or parsed is None or parsed.verb.name == "run"
                raise _interrupted(jobs, starts_dyno=starts_dyno) from None
            except Exception:  # of the display, for example: a run that nobody sees must not continue
                stop_all(jobs)
                check_current_folder()
                raise

    def complete(self, text: str, is_first_line: bool, others: Sequence[str] = ()) -> Matches | None:
        """Return what can complete a line's text, without waiting for anything. others: the other lines of the cell."""
        from heroku_magic.magics.completion import complete, complete_body

        if self._completion_sources is None:
            from heroku_magic.magics.completion_sources import CompletionSources

            shell = self._shell
            self._completion_sources = CompletionSources(
                self._choice, lambda: set(shell.user_ns) - set(shell.user_ns_hidden)
            )
        found = complete(text, self._completion_sources, is_first_line=is_first_line)
        if found is not None or is_first_line or not others:
            return found
        return complete_body(text, others, self._completion_sources)


def _interrupted(jobs: Sequence[TableFuture[Any]], *, starts_dyno: bool) -> Interrupted:
    """Stop what was started before anybody watched it, and return what became of it; another interrupt lets go."""
    live = [job for job in jobs if not job.done()]
    with suppress(KeyboardInterrupt):
        stop_all(jobs)
    if live:
        outcomes = [
            f"{job.id} is detached and continues: %heroku attach {job.id}" if job.is_detached else job.outcome_message()
            for job in live
        ]
        return Interrupted(" ".join(outcomes))
    return Interrupted(
        "Interrupted before a dyno was started; nothing was left running."
        if starts_dyno
        else "Heroku may have carried out the request anyway. Check with %heroku apps and %heroku status."
    )


def _show_notice(message: str) -> None:
    from heroku_magic.display.outputs import show_notice

    show_notice(message)


def _locals_of_caller() -> Mapping[str, Any]:
    """Return the variables of the code that calls the magic: a function's locals, or the notebook's own.

    IPython passes a cell magic only the notebook's variables.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - there is no public name
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_CALLER:
        frame = frame.f_back
    return frame.f_locals


def load(shell: InteractiveShell) -> None:
    """Register the magics, their completion, and the transformer for cells that are only a first line."""
    unload(shell)
    try:
        magics = HerokuMagics(shell)
    except TraitError as error:  # of a configuration file, or of a `%config` that was refused: IPython keeps its value
        raise SettingsError(
            f"A setting of HerokuMagics is not valid: {error} Correct it in ipython_config.py, or forget all with "
            "`get_ipython().config.pop('HerokuMagics')`; then load the extension again."
        ) from None
    shell.register_magics(magics)
    register(shell, magics.complete)
    if "heroku_magic" not in shell.user_ns:  # messages name it
        shell.push({"heroku_magic": sys.modules["heroku_magic"]}, interactive=False)  # type: ignore[no-untyped-call]  # no hints in IPython
    follow_notebook(magics._choice)  # noqa: SLF001 - the settings are the notebook's, not the group's
    location.follow_notebook(lambda: magics.history, lambda: magics.cache)
    shell.input_transformers_cleanup.insert(0, give_empty_body)
    if restarted := restart_note.message():
        print(restarted)


def unload(shell: InteractiveShell) -> None:
    """Undo `load`; harmless if nothing is loaded."""
    for kind in shell.magics_manager.magics.values():
        for name in ("heroku", "dyno"):
            kind.pop(name, None)
    shell.magics_manager.registry.pop("HerokuMagics", None)
    # Compared by name, because after `%reload_ext` these objects come from an earlier import.
    shell.configurables[:] = [one for one in shell.configurables if type(one).__name__ != "HerokuMagics"]
    unregister(shell)
    follow_notebook(Choice)
    location.follow_notebook()
    kept = [one for one in shell.input_transformers_cleanup if getattr(one, "__name__", "") != "give_empty_body"]
    shell.input_transformers_cleanup[:] = kept


def give_empty_body(lines: list[str]) -> list[str]:
    r"""Add an empty body to a cell that is only `%%heroku …` or `%%dyno …`, which IPython would reject.

    `%heroku VERB?` becomes the verb's help; IPython would look for an object of that name.

    >>> give_empty_body(["%%heroku --arg n=10"])
    ['%%heroku --arg n=10\n', '\n']
    >>> give_empty_body(["%heroku run?"])
    ['%heroku run --help\n']
    """
    if len(lines) == 1 and (asked := _VERB_HELP.fullmatch(lines[0].strip())):
        return [f"{asked[1]} --help\n"]
    words = lines[0].split(maxsplit=1) if lines else []
    if not words or words[0] not in MAGICS or "".join(lines[1:]).strip():
        return lines
    return [lines[0].rstrip("\n") + "\n", "\n"]


# Makes IPython skip the transformer when it checks whether the input is complete: in a terminal, a body may follow.
give_empty_body.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own convention
