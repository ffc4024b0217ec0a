"""The line of a magic -> verb, words, options; and the help on them: it runs none of them.

Unknown, abbreviated and repeated options are refused, with the option that was probably meant.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.magics.cell import read_argument
from heroku_magic.magics.commands import COLON_FORMS, DYNO, HELP, MAGICS, VERBS, WHERE, Option, Verb
from heroku_magic.magics.expand import expand, expand_command, spans, split, unquote
from heroku_magic.text.sanitize import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 80  # columns of help
IN_BODY: Any = object()  # the values of an `--each` that names nothing but itself
_OPTION = re.compile(r"--?[A-Za-z]")
_NEAR = 0.7  # difflib's own 0.6 takes `login` for `logs` and `--jobs` for `--rows`


@dataclass(frozen=True)
class Parsed:
    """A line that was read.

    each: names of a sweep with their values, or IN_BODY. code: the body, where that is what to run. help:
    show the verb's help, and that of all verbs for the verb `help`.
    """

    verb: Verb
    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    arguments: list[tuple[str, Any]] = field(default_factory=list)
    each: list[tuple[str, Any]] = field(default_factory=list)
    command: str | None = None
    code: str | None = None
    help: bool = False


def parse(line: str, namespace: Mapping[str, Any], *, cell: bool, magic: str = "%%heroku") -> Parsed:
    """Read the line of a cell (magic: how it begins) or of `%heroku`; variables are looked up in `namespace`.

    >>> parsed = parse('task -e n=10 --size=standard-2x', {}, cell=True)
    >>> parsed.words, parsed.arguments, parsed.options["size"]
    (['task'], [('n', '10')], 'standard-2x')
    """
    line, command = _cut_command(line, namespace)
    words = split(line)
    if cell:
        return _checked(_read(MAGICS[magic], words, command, namespace, cell=True), cell=True)
    if not words and command is None:
        return Parsed(VERBS["help"], help=True)
    name, *rest = words or ["--"]
    if name in {"-h", "--help"}:
        return Parsed(VERBS["help"], help=True)
    verb, implied = _verb(name)
    parsed = _read(verb, rest, command, namespace, cell=False)
    parsed.options.update({**implied, **parsed.options})
    return _checked(parsed, cell=False)


def help_text(verb: Verb, *, cell: bool) -> str:
    """Return the help of a verb, or for the verb `help` of all, for 80 columns."""
    if verb.name == "help":
        return _overview()
    cell = cell and bool(verb.magic)
    words = verb.words.replace(" [-- COMMAND]", "") or "[options]"
    form = f"{verb.magic} {words}" if cell else f"%heroku {verb.name} {verb.words}".rstrip()
    examples = verb.cell_examples if cell else verb.examples
    options = [_row(option.usage, option.help, 24) for option in (*verb.options, HELP)]
    body = verb.body if cell else ""
    blocks = [form, f"  {verb.summary}", body, "\n".join(options), *(textwrap.indent(one, "  ") for one in examples)]
    return "\n\n".join(filter(None, blocks))


def _overview() -> str:
    rows = [_row(f"%heroku {verb.name} {verb.words}", verb.summary, 42) for verb in VERBS.values()]
    head = (
        "%%heroku [TASK] [options] runs a task with the cell's body as its parameters;\n"
        "%%dyno [options] runs the cell's own code; %heroku VERB controls:"
    )
    tail = (
        "Help on one: %heroku VERB --help, %%heroku --help and %%dyno --help for cells;\n"
        "on a task: %heroku tasks TASK. The Tab key completes all of it.\n\n  %%heroku --arg n=10\n  n = len(df)"
    )
    return "\n".join([head, "", *rows, "", tail])


def _row(left: str, right: str, width: int) -> str:
    """Two columns; the right one goes on below itself."""
    indent = " " * (width + 3)
    return textwrap.fill(right, WIDTH, initial_indent=f"  {left:<{width}} ", subsequent_indent=indent)


def _cut_command(line: str, namespace: Mapping[str, Any]) -> tuple[str, str | None]:
    """Cut the command off that stands after a bare `--`, raw but for its variables."""
    for start, end in spans(line):
        if line[start:end] == "--":
            command = line[end:].strip()
            if not command:
                raise InvalidOptions("After -- a command is expected, for example: %heroku run -- python --version")
            return line[:start], expand_command(command, namespace)
    return line, None


def _verb(name: str) -> tuple[Verb, dict[str, Any]]:
    """The verb, and the options that its name implies."""
    if name in VERBS or name in COLON_FORMS:
        verb, implied = COLON_FORMS.get(name, (name, {}))
        return VERBS[verb], implied
    shown = clean_line(name[:60])
    if name == "--":
        raise InvalidOptions("A command needs its verb: %heroku run -- COMMAND")
    if name.startswith("-"):
        example = f"%heroku run {shown} …"
        raise InvalidOptions(f"{shown}: a verb is expected first, for example {example} ; %heroku --help lists them.")
    near = get_close_matches(name, VERBS, 1, _NEAR)
    meant = f"Did you mean %heroku {near[0]}? " if near else ""
    run = f"To run a task: %heroku run {shown}."
    raise InvalidOptions(f"There is no verb {shown!r}. {meant}{run} %heroku --help lists the verbs.")


def _read(verb: Verb, raw: list[str], command: str | None, namespace: Mapping[str, Any], *, cell: bool) -> Parsed:
    """Tell options, their values and words apart."""
    known = {name: option for option in (*verb.options, HELP) for name in option.names}
    parsed = Parsed(verb, command=command)
    waiting = list(raw)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-") or word == "-":
            parsed.words.append(_plain(word, namespace))
            continue
        typed, equals, value = word.partition("=")
        option = known.get(_spelled(typed))
        if option is None:
            raise _unknown(typed, verb, known, cell=cell)
        if option is HELP:
            return Parsed(verb, help=True)
        if option.metavar and not equals:
            value = _next_value(option, typed, waiting)
        elif equals and not option.metavar:
            raise InvalidOptions(f"{typed} takes no value.")
        _keep(parsed, option, typed, value, namespace)
    return parsed


def _spelled(typed: str) -> str:
    return typed.replace("_", "-") if typed.startswith("--") else typed


def _next_value(option: Option, typed: str, waiting: list[str]) -> str:
    """Take the word after an option as its value; one that looks like an option needs `=` before it."""
    if not waiting or _OPTION.match(waiting[0]):
        raise _expects(option, typed)
    return waiting.pop(0)


def _expects(option: Option, typed: str) -> InvalidOptions:
    return InvalidOptions(f"{typed} expects {option.metavar}: {option.help}.")


def _keep(parsed: Parsed, option: Option, typed: str, raw: str, namespace: Mapping[str, Any]) -> None:
    """Note an option's value; a repeat of a single one is refused."""
    if option.name == "arg":
        name, value = read_argument(raw, namespace)
        if name in dict(parsed.arguments):
            raise InvalidOptions(f"{name} is given twice: give each parameter once.")
        parsed.arguments.append((name, value))
        return
    if option.name == "each":
        parsed.each.extend(_each(raw, namespace))
        return
    if option.name in parsed.options and not option.many:
        raise InvalidOptions(f"{typed} is given twice: once is enough.")
    read = _converted(option, typed, _plain(raw, namespace)) if option.metavar else True
    several = read if isinstance(read, list) else [read]
    parsed.options[option.name] = [*parsed.options.get(option.name, []), *several] if option.many else read


def _each(raw: str, namespace: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The names of one `--each`, with their values where it has some."""
    if "=" in raw:
        return [read_argument(raw, namespace, option="--each")]
    names = [name.strip() for name in _plain(raw, namespace).split(",")]
    if not all(name.isidentifier() for name in names):
        raise InvalidOptions(f"--each {clean_line(raw[:60])}: expected NAME, NAME,NAME or NAME={{values}}.")
    return [(name, IN_BODY) for name in names]


def _converted(option: Option, typed: str, text: str) -> Any:
    if not text:
        raise _expects(option, typed)
    try:
        return option.convert(text)
    except ValueError as error:
        reason = str(error)
    raise InvalidOptions(f"{typed} {clean_line(text[:60])}: {reason}.")


def _plain(word: str, namespace: Mapping[str, Any]) -> str:
    text, is_literal = unquote(word)
    return text if is_literal else expand(text, namespace)


def _unknown(typed: str, verb: Verb, known: Mapping[str, Option], *, cell: bool) -> InvalidOptions:
    near = [name for name in known if name.startswith(_spelled(typed))] or get_close_matches(typed, known, 1, _NEAR)
    form = verb.magic if cell else f"%heroku {verb.name}"
    hint = f" Did you mean {near[0]}?" if near else ""
    return InvalidOptions(f"There is no option {clean_line(typed[:60])}.{hint} {form} --help lists them.")


def _checked(parsed: Parsed, *, cell: bool) -> Parsed:
    """Check how many words came, and that a command stands alone."""
    verb, words = parsed.verb, parsed.words
    if parsed.help:
        return parsed
    if verb is DYNO and words:
        hint = "%%dyno runs the cell's own code, on any app: --app NAME. A task is %%heroku TASK."
        raise InvalidOptions(f"{clean_line(' '.join(words)[:60])}: too many words. {hint}")
    if cell and len(words) > 1 and words[0] in VERBS:
        raise InvalidOptions(f"A cell needs no verb: %%heroku {clean_line(words[1])}")
    if len(words) < verb.least:
        raise InvalidOptions(f"%heroku {verb.name} expects {verb.words}, for example: {verb.examples[0]}")
    if verb.most is not None and len(words) > verb.most:
        raise _too_many(verb, clean_line(" ".join(words[verb.most :])[:60]))
    if parsed.command is not None and (verb.name != "run" or words):
        raise InvalidOptions("A command after -- stands alone, without a task: %heroku run -- COMMAND")
    return _help_on(words) if verb.name == "help" else parsed


def _help_on(words: list[str]) -> Parsed:
    """What `%heroku help [VERB]` asks for."""
    name = words[0] if words else "help"
    if name in VERBS or name in COLON_FORMS:
        return Parsed(_verb(name)[0], help=True)
    raise InvalidOptions(f"There is no verb {clean_line(name[:60])!r}. The verbs are: {', '.join(VERBS)}.")


def _too_many(verb: Verb, extra: str) -> InvalidOptions:
    if verb.name == "run":
        hint = "A parameter is --arg NAME=VALUE; a command stands after --."
    elif verb.most:
        hint = f"%heroku {verb.name} takes one {verb.words.strip('[]')}, for example: {verb.examples[0]}"
    else:
        app = " An app is --app NAME." if WHERE[0] in verb.options else ""
        hint = f"%heroku {verb.name} takes none.{app} %heroku {verb.name} --help lists its options."
    return InvalidOptions(f"{extra}: too many words. {hint}")
