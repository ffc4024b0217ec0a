"""Forms: the verb that shows a task's parameters as a form, and `--form` of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.group import VerbGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.options import Parsed
    from heroku_magic.widgets import Form


class Forms(VerbGroup):
    """`form`, and `run --form`."""

    def _form(self, parsed: Parsed, parameters: Mapping[str, Any], each: Mapping[str, Any]) -> Form:
        from heroku_magic.forms import form

        options = parsed.options
        if parsed.command is not None:
            raise InvalidOptions("A form is for a task; a command after -- has no parameters to ask for.")
        made = form(
            parsed.words[0] if parsed.words else None,
            parameters,
            each=each,
            heroku=self._connect(parsed),
            secrets=options.get("secret", ()),
            on_success=self._binder(options["out"]) if "out" in options else None,
            verbose=self._is(options, "verbose"),
            line={**options, **({"chunk": "auto"} if options.get("chunk") == 0 else {})},
            size=options.get("size"),
            timeout=options.get("timeout"),
            any_type=bool(options.get("any_type")),
            override=options.get("override", ()),
            rows=options.get("rows") != "none",
            detach=bool(options.get("detach")),
            zip=bool(options.get("zip")),
            jobs=options.get("jobs"),
            sample=options.get("sample"),
            seed=options.get("seed"),
            chunk=options.get("chunk", 1) or "auto",
            retries=options.get("retries", 0),
            retry_tasks=bool(options.get("retry_tasks")),
            fail_fast=bool(options.get("fail_fast")),
            save=options.get("save"),
            max_cost=options.get("max_cost"),
        )
        made.show()
        return made
