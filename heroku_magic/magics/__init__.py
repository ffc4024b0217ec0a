"""HerokuMagics: `%heroku` and `%%heroku`, options in, result out; it decides nothing of its own.

The line is read by options.py, the body by parameters.py. Each verb is a method of its group here
(runs.py, forms.py, account.py), which asks heroku.py and shows the answer. What is heavy is imported when a
cell needs it.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_cell_magic, magics_class, no_var_expand

from heroku_magic.errors import HerokuMagicError, Interrupted, InvalidOptions
from heroku_magic.magics.account import Account
from heroku_magic.magics.forms import Forms
from heroku_magic.magics.runs import Runs
from heroku_magic.options import Parsed, help_text, parse
from heroku_magic.parameters import read_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from IPython.core.interactiveshell import InteractiveShell


@magics_class
class HerokuMagics(Runs, Forms, Account):
    """Serverless functions from a notebook cell; `%heroku --help` explains."""

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
                start = self._form if parsed.options.get("form") else self._run
                return start(parsed, _parameters(parsed, cell or "", namespace))
            return getattr(self, f"_{parsed.verb.name}")(parsed)


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
