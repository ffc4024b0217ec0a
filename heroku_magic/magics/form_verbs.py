"""Forms: the verb that shows a task's parameters as a form, and `--form` of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.verb_group import VerbGroup
from heroku_magic.magics.wishes import of_run, of_sweep, task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.magics.parser import Parsed
    from heroku_magic.widgets import Form


class Forms(VerbGroup):
    """`form`, and `run --form`."""

    def _form(self, parsed: Parsed, parameters: Mapping[str, Any], each: Mapping[str, Any]) -> Form:
        from heroku_magic.widgets.create import form

        options = parsed.options
        if parsed.command is not None:
            raise InvalidOptions("A form is for a task; a command after -- has no parameters to ask for.")
        made = form(
            task(parsed),
            parameters,
            each=each,
            heroku=self._connect(parsed),
            on_success=self._binder(options["out"]) if "out" in options else None,
            verbose=self._is(options, "verbose"),
            line={**options, **({"chunk": "auto"} if options.get("chunk") == 0 else {})},
            **of_run(parsed),
            **of_sweep(parsed),
        )
        made.show()
        return made
