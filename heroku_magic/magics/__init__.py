"""HerokuMagics: `%heroku`, `%%heroku` and `%%dyno`, options in, result out; it decides nothing of its own.

The line is read by options.py, the body of `%%heroku` by parameters.py; that of `%%dyno` is shipped.
Each verb is a method of its group here (runs.py, forms.py, shipping.py, account.py), which asks
heroku.py and shows the answer. What is heavy is imported when a cell needs it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.magic import cell_magic, line_cell_magic, magics_class, no_var_expand

from heroku_magic.errors import HerokuMagicError, Interrupted, InvalidOptions
from heroku_magic.magics.account_verbs import Account
from heroku_magic.magics.cell import read_body
from heroku_magic.magics.commands import MAGICS
from heroku_magic.magics.completer import register, unregister
from heroku_magic.magics.deploy_verbs import Shipping
from heroku_magic.magics.form_verbs import Forms
from heroku_magic.magics.inputs import inputs
from heroku_magic.magics.parser import IN_BODY, Parsed, help_text, parse
from heroku_magic.magics.run_verbs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from heroku_magic.magics.completion import Matches
    from heroku_magic.magics.completion_sources import Known


@magics_class
class HerokuMagics(Runs, Forms, Shipping, Account):
    """Serverless functions from a notebook cell; `%heroku --help` explains."""

    @no_var_expand
    @line_cell_magic
    def heroku(self, line: str, cell: str | None = None) -> Any:
        """Run tasks on Heroku one-off dynos, or on the embedded Heroku.

        A cell runs a task with the parameters that its body assigns; its value is a DataFrame:

            %%heroku [TASK] [options]
            n = len(df)

        A line controls, or runs a task too:

            %heroku tasks                         what there is to run, and what it takes
            df = %heroku run TASK --arg n=10
            %heroku run -- python --version       any command
            %heroku ps, stop, logs, last          dynos and runs
            %heroku login, create, deploy, use    an app of yours

        The Tab key completes verbs, options, tasks, parameters and values. `%heroku --help` lists every
        verb, `%heroku VERB --help` and `%%heroku --help` every option, `%heroku tasks TASK` one task's
        parameters: each with an example to paste.
        """
        namespace = {**self._shell.user_ns, **_locals_of_caller()}
        with _short_errors(verbose=self.verbose) as errors:
            parsed = parse(line, namespace, cell=cell is not None)
            errors["verbose"] = self.verbose or bool(parsed.options.get("verbose"))
            errors["runs"] = cell is not None or parsed.verb.name == "run"
            if parsed.help:
                print(help_text(parsed.verb, cell=cell is not None))
                return None
            if errors["runs"]:
                parameters = _parameters(parsed, cell or "", namespace)
                return self._start(parsed, parameters, _taken(parsed.each, parameters))
            if parsed.verb.name == "form":
                parameters = dict(parsed.arguments)
                return self._form(parsed, parameters, _taken(parsed.each, parameters))
            return getattr(self, f"_{parsed.verb.name}")(parsed)

    @no_var_expand
    @cell_magic
    def dyno(self, line: str, cell: str) -> Any:
        """Run the cell's own Python code on a one-off dyno of any app that has Python; nothing of it runs here.

            %%dyno -i names --arg n=1000 --out df
            for name in names:
                emit({"name": name, "n": n})

        What it emits, or the value of its last expression, comes back as a DataFrame. `%%dyno --help`
        lists every option.
        """
        namespace = {**self._shell.user_ns, **_locals_of_caller()}
        with _short_errors(verbose=self.verbose) as errors:
            parsed = parse(line, namespace, cell=True, magic="%%dyno")
            errors["verbose"] = self.verbose or bool(parsed.options.get("verbose"))
            if parsed.help:
                print(help_text(parsed.verb, cell=True))
                return None
            return self._start(replace(parsed, code=cell), *inputs(parsed, namespace))

    def _start(self, parsed: Parsed, parameters: Mapping[str, Any], each: Mapping[str, Any]) -> Any:
        """A run, a sweep, a form for one, or what it would cost."""
        if not each and not parsed.options.get("form"):
            _refuse_terms(parsed)
        if parsed.options.get("dry_run"):
            return self._estimate(parsed, each, parameters)
        if parsed.options.get("form"):
            return self._form(parsed, parameters, each)
        return self._sweep(parsed, each, parameters) if each else self._run(parsed, parameters)

    def complete(self, text: str, is_first_line: bool) -> Matches | None:
        """Return what may stand at the end of a line's text; without waiting for anything."""
        from heroku_magic.magics.completion import complete

        if self._known is None:
            from heroku_magic.magics.completion_sources import Known

            self._known = Known(self._choice, lambda: set(self._shell.user_ns) - set(self._shell.user_ns_hidden))
        return complete(text, self._known, is_first_line=is_first_line)

    _known: Known | None = None


_OF_SWEEPS = ("zip", "jobs", "sample", "seed", "chunk", "retries", "retry_tasks", "fail_fast", "save")


def load(shell: InteractiveShell) -> None:
    """Register the magics, and the transformer that lets a cell be only its first line."""
    unload(shell)
    magics = HerokuMagics(shell)
    shell.register_magics(magics)
    register(shell, magics.complete)
    transformers = shell.input_transformers_cleanup
    transformers.insert(0, give_empty_body)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` added; harmless where nothing is loaded."""
    for kind in shell.magics_manager.magics.values():
        for name in ("heroku", "dyno"):
            kind.pop(name, None)
    shell.magics_manager.registry.pop("HerokuMagics", None)
    # By name: after `%reload_ext` these are objects of an earlier import.
    shell.configurables[:] = [one for one in shell.configurables if type(one).__name__ != "HerokuMagics"]
    unregister(shell)
    kept = [one for one in shell.input_transformers_cleanup if getattr(one, "__name__", "") != "give_empty_body"]
    shell.input_transformers_cleanup[:] = kept


def give_empty_body(lines: list[str]) -> list[str]:
    r"""Give a cell that is only `%%heroku …` an empty body: IPython refuses a cell magic without one.

    That of `%%dyno` is refused by us, who can say what is missing.

    >>> give_empty_body(["%%heroku --arg n=10"])
    ['%%heroku --arg n=10\n', '\n']
    """
    words = lines[0].split(maxsplit=1) if lines else []
    if not words or words[0] not in MAGICS or "".join(lines[1:]).strip():
        return lines
    return [lines[0].rstrip("\n") + "\n", "\n"]


# IPython then leaves it out when it asks whether what was typed so far is complete: in a terminal a
# body may still follow.
give_empty_body.has_side_effects = True  # type: ignore[attr-defined]  # IPython's own convention


def _parameters(parsed: Parsed, body: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The body's and the line's parameters; a name given in both is an error."""
    given, assigned = dict(parsed.arguments), read_body(body, namespace)
    if twice := sorted(given.keys() & assigned.keys()):
        raise InvalidOptions(f"{', '.join(twice)}: given in the body and by --arg. Give each parameter once.")
    if parsed.command is not None and assigned:
        raise InvalidOptions("A command after -- takes its parameters by --arg, not from a body.")
    return {**assigned, **given}


def _refuse_terms(parsed: Parsed) -> None:
    """Of one run they would say nothing, and whoever gave one would wait for it in vain."""
    if given := [name for name in _OF_SWEEPS if name in parsed.options]:
        raise InvalidOptions(f"--{given[0].replace('_', '-')} is for a sweep, and one is made by --each NAME.")


def _taken(each: list[tuple[str, Any]], parameters: dict[str, Any]) -> dict[str, Any]:
    """The values of a sweep's names, taken out of the parameters where the line gives none."""
    taken: dict[str, Any] = {}
    for name, value in each:
        if name in taken or (value is not IN_BODY and name in parameters):
            raise InvalidOptions(f"{name} is given twice: give each parameter once.")
        if value is IN_BODY and name not in parameters:
            raise InvalidOptions(
                f"--each {name}: no values: assign them in the body; --each {name}={{{name}}} takes a notebook's "
                "variable."
            )
        taken[name] = parameters.pop(name) if value is IN_BODY else value
    return taken


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
    state = {"verbose": verbose, "runs": True}
    try:
        yield state
    except HerokuMagicError as error:
        error.verbose = state["verbose"]
        raise
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted before a dyno was started; nothing was left running."
            if state["runs"]
            else "Interrupted. What was asked of Heroku may have been done all the same: %heroku apps and "
            "%heroku status tell."
        ) from None
