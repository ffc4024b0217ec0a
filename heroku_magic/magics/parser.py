"""Parse the line and the body of a magic.

`argparse` is not used: it accepts repeated options and `-qx` for `-q -x`, takes an unknown option whose
value has a blank for a word, and reports errors as text that differs between versions of Python.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.cell import read_argument, read_body
from heroku_magic.magics.commands import COLON_FORMS, DYNO, HELP, MAGICS, VERBS, WHERE
from heroku_magic.magics.expand import expand, join_continued, look_up, spans, split, unquote
from heroku_magic.protocol.environ import VARIABLE_NAME
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heroku_magic.magics.verb import Option, Verb

_IN_BODY: Any = object()  # the values of an `--each NAME` without `=VALUES`
_ARGUMENT = re.compile(rf"'?{VARIABLE_NAME.pattern}=")
_NEGATIVE = re.compile(r"-\d+")  # counts runs from the last one
_OPTION = re.compile(r"--?[A-Za-z]")
_SHORT, _SIMILAR_SHORT = 3, 0.6  # one wrong letter of three
_SIMILAR = 0.7  # difflib's default of 0.6 takes `login` for `logs` and `--jobs` for `--rows`


@dataclass(frozen=True)
class ParsedLine:
    """A line with its body.

    parameters: values of the run. each: values that a sweep varies. command: the text after `--`. code: the body of
    a `%%dyno` cell. help: show the verb's help, or the overview if the verb is `help`.
    """

    verb: Verb
    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    each: dict[str, Any] = field(default_factory=dict)
    command: str | None = None
    code: str | None = None
    help: bool = False

    @property
    def word(self) -> str | None:
        """The first word after the verb, if there is one."""
        return self.words[0] if self.words else None


def parse(line: str, namespace: Mapping[str, Any], *, body: str | None = None, magic: str = "%%heroku") -> ParsedLine:
    """Parse the line of `%heroku`, or of a cell with this body; `namespace` holds the notebook's variables.

    >>> parsed = parse("task -e k=10 --size=standard-2x", {"data": [1, 2]}, body="n = len(data)")
    >>> parsed.words, parsed.parameters, parsed.options["size"]
    (['task'], {'n': 2, 'k': '10'}, 'standard-2x')
    """
    if body is not None:
        count = body.count("\n")
        line, body = join_continued(line, body)
        first_line = 2 + count - body.count("\n")  # the magic's own line is line 1, as the notebook counts
    line, command = _cut_command(line, namespace)
    words = split(line)
    if words and words[-1] == "\\":
        raise InvalidOptions("A backslash continues a line only as its last character. Remove the blanks after it.")
    if body is not None:
        parsed = _checked(_read(MAGICS[magic], words, command, namespace, form=magic), is_cell=True)
        return parsed if parsed.help else _with_values(parsed, body, namespace, first_line)
    name, *rest = words or (["help"] if command is None else ["--"])
    if name in HELP.names:
        return ParsedLine(VERBS["help"], help=True)
    verb, implied = _verb(name, has_more=bool(rest))
    parsed = _read(verb, rest, command, namespace, form=f"%heroku {verb.name}")
    parsed.options.update({**implied, **parsed.options})
    return _with_values(_checked(parsed, is_cell=False), "", namespace)


def _cut_command(line: str, namespace: Mapping[str, Any]) -> tuple[str, str | None]:
    """Separate the command after a bare `--`; the dyno's shell reads its quotes and escapes."""
    for start, end in spans(line):
        if line[start:end] == "--":
            command = line[end:].strip()
            if not command:
                raise InvalidOptions("A command is expected after --, for example: %heroku run -- python --version")
            return line[:start], expand(command, namespace, quotes=True, escape="\\")
    return line, None


def _verb(name: str, *, has_more: bool = False) -> tuple[Verb, dict[str, Any]]:
    """Return the verb, and the options that its name implies."""
    if name in VERBS or name in COLON_FORMS:
        verb, implied = COLON_FORMS.get(name, (name, {}))
        return VERBS[verb], implied
    shown = clean_line(name[:60])
    if name == "--":
        raise InvalidOptions("A command needs a verb before it: %heroku run -- COMMAND")
    if name.startswith("-"):
        is_known = any(name.partition("=")[0] in option.names for option in VERBS["run"].options)
        example = f", for example: %heroku run {shown} …" if is_known else ""
        raise InvalidOptions(f"A verb is expected before {shown}{example} (%heroku --help lists the verbs)")
    near = [verb for verb in VERBS if sorted(verb) == sorted(name)]
    near += get_close_matches(name, VERBS, 1, _SIMILAR if len(name) > _SHORT else _SIMILAR_SHORT)
    if near and has_more:
        raise InvalidOptions(f'There is no verb "{shown}". Did you mean {near[0]}? %heroku --help lists the verbs.')
    hint = f"Did you mean %heroku {near[0]}? " if near else ""
    raise InvalidOptions(
        f'There is no verb "{shown}". {hint}To run a task: %heroku run {shown}. %heroku --help lists the verbs.'
    )


def _read(verb: Verb, words: list[str], command: str | None, namespace: Mapping[str, Any], *, form: str) -> ParsedLine:
    """Sort words, options and their values. form: how a line of this verb begins."""
    options = {name: option for option in (*verb.options, HELP) for name in option.names}
    parsed = ParsedLine(verb, command=command)
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-" or (verb.kind == "recorded" and _NEGATIVE.fullmatch(word)):
            parsed.words.append(_plain(word, namespace))
            continue
        typed, equals, value = word.partition("=")
        spelled = typed.replace("_", "-") if typed.startswith("--") else typed
        option = options.get(spelled)
        if option is None:
            near = [name for name in options if name.startswith(spelled)]
            near += get_close_matches(typed, options, 1, _SIMILAR)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InvalidOptions(f"There is no option {clean_line(typed[:60])}.{hint} {form} --help lists the options.")
        if option is HELP:
            return ParsedLine(verb, help=True)
        if equals and not option.metavar:
            raise InvalidOptions(f"{typed} takes no value.")
        if option.metavar and not equals:
            value = next(rest, "--")
            if _OPTION.match(value) or value == "--":
                raise _expects(option, typed)
        _keep(parsed, option, typed, value, namespace)
    return parsed


def _expects(option: Option, typed: str) -> InvalidOptions:
    return InvalidOptions(f"{typed} expects {option.metavar}: {option.help}.")


def _keep(parsed: ParsedLine, option: Option, typed: str, raw: str, namespace: Mapping[str, Any]) -> None:
    """Store an option's value; reject a second value of an option that takes one."""
    if option.name == "arg":
        _add(parsed.parameters, [read_argument(raw, namespace)])
    elif option.name == "each":
        _add(parsed.each, _read_each(raw, namespace))
    elif option.name in parsed.options and not option.many:
        raise InvalidOptions(f"{typed} is given twice. Give it once.")
    elif not option.metavar:
        parsed.options[option.name] = True
    else:
        value = _converted(option, typed, _plain(raw, namespace))
        several = value if isinstance(value, list) else [value]
        parsed.options[option.name] = [*parsed.options.get(option.name, []), *several] if option.many else value


def _add(values: dict[str, Any], pairs: list[tuple[str, Any]]) -> None:
    for name, value in pairs:
        if name in values:
            raise _twice(name)
        values[name] = value


def _twice(name: str, how: str = "twice") -> InvalidOptions:
    return InvalidOptions(f'"{name}" is given {how}. Give each parameter once.')


def _read_each(raw: str, namespace: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the names of one `--each` with their values."""
    if "=" in raw:
        return [read_argument(raw, namespace, option="--each")]
    names = [name.strip() for name in _plain(raw, namespace).split(",")]
    if not all(name.isidentifier() for name in names):
        raise InvalidOptions(f"--each {clean_line(raw[:60])}: expected NAME, NAME,NAME or NAME={{values}}.")
    return [(name, _IN_BODY) for name in names]


def _converted(option: Option, typed: str, text: str) -> Any:
    if not text:
        raise _expects(option, typed)
    try:
        return option.convert(text)
    except ValueError as error:
        raise InvalidOptions(f"{typed} {clean_line(text[:60])}: {error}.") from None


def _plain(word: str, namespace: Mapping[str, Any]) -> str:
    text, is_literal = unquote(word)
    return text if is_literal else expand(text, namespace)


def _checked(parsed: ParsedLine, *, is_cell: bool) -> ParsedLine:
    """Check the number of words, and that a command is not mixed with a task."""
    verb, words = parsed.verb, parsed.words
    if parsed.help:
        return parsed
    if is_cell and verb is not DYNO and len(words) > 1 and words[0] in VERBS:
        raise InvalidOptions(f"A cell takes no verb: %%heroku {clean_line(words[1])}")
    if len(words) < verb.least:
        raise InvalidOptions(f"%heroku {verb.name} expects {verb.words}, for example: {verb.examples[0]}")
    if verb.most is not None and len(words) > verb.most:
        raise _too_many(verb, words[verb.most :])
    if "" in words:  # of a variable, for example: it must not act as if the word was left out
        raise InvalidOptions(
            f"A word of %heroku {verb.name} is empty: expected {verb.words}, for example: {verb.examples[0]}"
        )
    if verb.kind == "task" and words and (arguments := _arguments(words)):
        raise InvalidOptions(f'"{clean_line(words[0][:60])}" is not a task. Did you mean {arguments}?')
    if parsed.command is not None and (verb.name != "run" or words):
        raise InvalidOptions(
            "A command after -- cannot be combined with a task or another verb: %heroku run -- COMMAND"
        )
    if verb.name != "help":
        return parsed
    if (name := parsed.word or "help") in VERBS or name in COLON_FORMS:
        return ParsedLine(_verb(name)[0], help=True)
    raise InvalidOptions(f'There is no verb "{clean_line(name[:60])}". The verbs are: {", ".join(VERBS)}.')


def _arguments(words: list[str]) -> str:
    """Return words such as `n=10` or `n = 10` as options that set parameters; empty if they are anything else."""
    text = re.sub(
        r"\s*=\s*", "=", " ".join(f"'{word}'" if re.search(r"\s", word) and "'" not in word else word for word in words)
    )
    with suppress(InvalidOptions):  # a quote is open
        found = split(text)
        return " ".join(f"--arg {word}" for word in found) if all(_ARGUMENT.match(word) for word in found) else ""
    return ""


def _too_many(verb: Verb, words: list[str]) -> InvalidOptions:
    extra = clean_line(" ".join(word or '""' for word in words)[:60])
    arguments = _arguments(words) if any(option.name == "arg" for option in verb.options) else ""
    if arguments:
        hint = f"Did you mean {clean_line(arguments[:200])}?"
    elif verb is DYNO:
        hint = "%%dyno runs the cell's own code, on any app: --app NAME. To run a task, use %%heroku TASK."
    elif verb.name == "run":
        hint = "Set a parameter with --arg NAME=VALUE; a command comes after --."
    elif verb.most:
        one = "one " if verb.most == 1 else ""
        hint = f"%heroku {verb.name} takes {one}{verb.words.strip('[]')}, for example: {verb.examples[0]}"
    else:
        app = " To choose an app, use --app NAME." if WHERE[0] in verb.options else ""
        hint = f"%heroku {verb.name} takes no argument.{app} %heroku {verb.name} --help lists its options."
    return InvalidOptions(f"{extra}: too many words. {hint}")


def _with_values(line: ParsedLine, body: str, namespace: Mapping[str, Any], first_line: int = 1) -> ParsedLine:
    """Add the values that the body assigns, or that a cell of code takes from the notebook."""
    is_code = line.verb is DYNO
    if is_code:
        found = {name: look_up(name, namespace, option="--input") for name in line.options.get("input", ())}
    else:
        found = read_body("\n" * (first_line - 1) + body, namespace)
    if line.command is not None and found:
        raise InvalidOptions("The parameters of a command after -- are set by --arg, not in the body.")
    if twice := sorted(found.keys() & line.parameters.keys()):
        raise _twice(twice[0], "by --input and by --arg" if is_code else "in the body and by --arg")
    parameters, each = {**found, **line.parameters}, dict(line.each)
    for name, value in line.each.items():
        if value is _IN_BODY and name in parameters and not is_code:
            each[name] = parameters.pop(name)
        elif name in parameters:
            raise _twice(name)
        elif value is _IN_BODY and is_code:
            each[name] = look_up(name, namespace, option="--each")
        elif value is _IN_BODY:
            raise InvalidOptions(
                f"--each {name} has no values. Assign them in the body, or use --each {name}={{{name}}} to take them "
                "from a variable of the notebook."
            )
    return replace(line, parameters=parameters, each=each, code=body if is_code else None)
