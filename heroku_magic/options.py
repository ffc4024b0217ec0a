"""One table of verbs and options, and the parser and the help that it drives; it runs none of them.

IPython's own splitter keeps quotes and cuts `NAME="a b"` in two, so lines are split here. Unknown,
abbreviated and repeated options are refused, with the option that was probably meant.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from heroku_magic.errors import InvalidOptions
from heroku_magic.parameters import expand, read_argument, unquote
from heroku_magic.safetext import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_TIMEOUT = 86400  # seconds
# A shell's words: what is in single quotes, in double quotes, in none.
_COMMAND_PARTS = re.compile(r"""'[^']*'|"[^"]*"|[^'"]+""")


@dataclass(frozen=True)
class Option:
    """One option: its names (the long one last), what its value is called (empty: a flag), its help."""

    names: tuple[str, ...]
    metavar: str
    help: str
    many: bool = False
    convert: Callable[[str], Any] = str

    @property
    def name(self) -> str:
        """The name that `Parsed.options` holds it by."""
        return self.names[-1].lstrip("-").replace("-", "_")

    @property
    def usage(self) -> str:
        """How help shows it."""
        return ", ".join(self.names) + (f" {self.metavar}" if self.metavar else "")


@dataclass(frozen=True)
class Verb:
    """One verb: what it does, how many words it takes (least, most; None is no limit), its options."""

    name: str
    summary: str
    words: str
    least: int
    most: int | None
    options: tuple[Option, ...]
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Parsed:
    """A line that was read; the verb `help` stands for help on all of them."""

    verb: Verb
    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    arguments: list[tuple[str, Any]] = field(default_factory=list)
    command: str | None = None
    help: bool = False


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= LONGEST_TIMEOUT:
        raise ValueError(f"expected whole seconds from 1 to {LONGEST_TIMEOUT} (24 hours)")
    return int(text)


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("expected the name of a variable")
    return text


def _none(text: str) -> str:
    if text != "none":
        raise ValueError("expected none")
    return text


_HELP = Option(("-h", "--help"), "", "show this help")
_VERBOSE = Option(("-v", "--verbose"), "", "Heroku's own lines and times too; whole tracebacks")
_WHERE = (
    Option(("-a", "--app"), "NAME", "the app on Heroku"),
    Option(("-r", "--remote"), "REMOTE", "the git remote that names the app"),
    Option(("--local",), "", "the embedded Heroku, whatever app is set"),
    Option(("--worker",), "FOLDER", "the folder that the embedded Heroku serves (implies --local)"),
)
_RUN = (
    Option(("-e", "--arg"), "NAME=VALUE", "one parameter; $name and {expression} pass a variable", many=True),
    *_WHERE,
    Option(("-s", "--size"), "SIZE", "dyno size, such as standard-2x"),
    Option(("--timeout",), "SECONDS", "longest life of the dyno, boot included (3600)", convert=_seconds),
    Option(("-o", "--out"), "NAME", "bind the DataFrame to NAME and show no value", convert=_variable),
    Option(("--bg",), "", "return a handle at once; the output goes on updating"),
    Option(("-q", "--quiet"), "", "show only what goes wrong"),
    _VERBOSE,
    Option(("-x", "--exit-code"), "", "fail where the exit status is not 0 (the default)"),
    Option(("--no-raise",), "", "return what there is instead of raising"),
    Option(("--rows",), "none", "take no rows from what the task prints", convert=_none),
    Option(("--any-type",), "", "take a process type that is no task, such as web"),
    Option(("--override",), "NAME", "let a parameter replace this config var", many=True),
)
_SEE = (*_WHERE, _VERBOSE)

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            "run",
            "run a task, or any command after --, on a one-off dyno",
            "[TASK] [options] [-- COMMAND]",
            0,
            1,
            _RUN,
            ("df = %heroku run --arg n=10", "%heroku run hello --arg NAME=Daniela", "%heroku run -- python --version"),
        ),
        Verb(
            "tasks",
            "list the tasks and what they take",
            "[TASK]",
            0,
            1,
            _SEE,
            ("%heroku tasks", "%heroku tasks bootstrap"),
        ),
        Verb("ps", "list the dynos, ours with their run's id", "", 0, 0, _SEE, ("%heroku ps",)),
        Verb(
            "stop",
            "stop dynos that we started",
            "DYNO…",
            1,
            None,
            (*_SEE, Option(("--any",), "", "stop dynos that others started, too")),
            ("%heroku stop run.4821",),
        ),
        Verb("logs", "read a dyno's log again", "DYNO", 1, 1, _SEE, ("%heroku logs run.4821",)),
        Verb("last", "the last run: its rows so far, log, exit status", "", 0, 0, (_VERBOSE,), ("run = %heroku last",)),
        Verb("status", "app, API, quota and running dynos", "", 0, 0, _SEE, ("%heroku status",)),
        Verb("use", "choose the app that cells run on", "APP", 1, 1, (_VERBOSE,), ("%heroku use my-app",)),
        Verb("help", "this help, or a verb's", "[VERB]", 0, 1, (), ("%heroku help run",)),
    )
}
# The official CLI's colon forms, for fingers that know them.
_COLON_FORMS = {"ps:stop": ("stop", []), "run:detached": ("run", ["--bg"])}


def parse(line: str, namespace: Mapping[str, Any], *, cell: bool) -> Parsed:
    """Read the line of `%%heroku` (cell) or `%heroku`; variables are looked up in `namespace`.

    >>> parsed = parse('task -e n=10 --size=standard-2x', {}, cell=True)
    >>> parsed.words, parsed.arguments, parsed.options["size"]
    (['task'], [('n', '10')], 'standard-2x')
    """
    line, command = _cut_command(line, namespace)
    words = split(line)
    if cell:
        return _checked(_read(VERBS["run"], words, command, namespace, cell=True), cell=True)
    if not words and command is None:
        return Parsed(VERBS["help"], help=True)
    name, *rest = words or ["--"]
    if name in {"-h", "--help"}:
        return Parsed(VERBS["help"], help=True)
    verb, more = _verb(name)
    more = [word for word in more if word not in rest]
    return _checked(_read(verb, [*more, *rest], command, namespace, cell=False), cell=False)


def split(line: str) -> list[str]:
    """Split a line at blanks, but not inside quotes, braces, brackets or parentheses; quotes are kept.

    >>> split('-e NAME="a b" --arg n={x[0] + 1}')
    ['-e', 'NAME="a b"', '--arg', 'n={x[0] + 1}']
    """
    words, word, quote, depth = [], "", "", 0
    for at, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "{[(" and (depth or _closes(line, at)):
            depth += 1
        elif character in "}])" and depth:
            depth -= 1
        if character.isspace() and not quote and not depth:
            words.append(word)
            word = ""
        else:
            word += character
    if quote:
        raise InvalidOptions(f"A {quote} is not closed in: {clean_line(line.strip()[:80])}")
    return [one for one in [*words, word] if one]


def _closes(line: str, at: int) -> bool:
    """Whether the bracket that opens at `at` is closed: a lone one groups nothing."""
    depth = 0
    for character in line[at:]:
        depth += (character in "{[(") - (character in "}])")
        if depth == 0:
            return True
    return False


def help_text(verb: Verb, *, cell: bool) -> str:
    """Return the help of a verb, or for `help` of all, for 80 columns."""
    if verb.name == "help":
        forms = {f"{one.name} {one.words.partition(' [o')[0]}": one.summary for one in VERBS.values()}
        rows = [f"  %heroku {form:<14} {summary}" for form, summary in forms.items()]
        head = "%%heroku [TASK] [options] runs a task with the cell's body as its parameters;\n%heroku VERB controls:"
        tail = "Help on one: %heroku VERB --help, and %%heroku --help for the cell."
        example = "  %%heroku --arg n=10\n  n = len(df)"
        return "\n".join([head, "", *rows, "", tail, "", example])
    form = "%%heroku [TASK] [options]" if cell else f"%heroku {verb.name} {verb.words}".rstrip()
    examples = ("%%heroku --arg n=10", "%%heroku task --out df\nn = len(data)\nseed = 7") if cell else verb.examples
    options = [_help_line(option) for option in (*verb.options, _HELP)]
    body = "The body holds parameters: `name = expression` a line, over the notebook's variables." if cell else ""
    blocks = [form, f"  {verb.summary}", body, "\n".join(options), *(textwrap.indent(one, "  ") for one in examples)]
    return "\n\n".join(filter(None, blocks))


def _cut_command(line: str, namespace: Mapping[str, Any]) -> tuple[str, str | None]:
    """Cut the command off that stands after ` -- `, raw but for its variables."""
    words = split(line)
    if "--" not in words:
        return line, None
    before = _length_before(line)
    return line[:before], _expand_command(line[before:].strip()[2:].strip(), namespace)


def _length_before(line: str) -> int:
    """Where the first bare `--` begins."""
    at = -1
    while True:
        at = line.index("--", at + 1)
        alone = (at == 0 or line[at - 1].isspace()) and (at + 2 == len(line) or line[at + 2].isspace())
        if alone and _is_whole(line[:at]):
            return at


def _is_whole(text: str) -> bool:
    try:
        split(text)
    except InvalidOptions:
        return False
    return True


def _expand_command(command: str, namespace: Mapping[str, Any]) -> str:
    """Replace variables outside single quotes; quotes stay, for the dyno's shell to read."""
    if not command:
        raise InvalidOptions("After -- a command is expected, for example: %heroku run -- python --version")
    parts = _COMMAND_PARTS.findall(command)
    return "".join(part if part.startswith("'") else expand(part, namespace) for part in parts)


def _verb(name: str) -> tuple[Verb, list[str]]:
    if name == "--":
        raise InvalidOptions("A command needs its verb: %heroku run -- COMMAND")
    if name in VERBS:
        return VERBS[name], []
    if form := _COLON_FORMS.get(name):
        return VERBS[form[0]], form[1]
    if name.startswith("-"):
        raise InvalidOptions(f"{clean_line(name)}: a verb is expected first, as in `%heroku run {clean_line(name)} …`.")
    near = get_close_matches(name, VERBS, 1)
    meant = f"Did you mean %heroku {near[0]}?" if near else f"To run a task: %heroku run {clean_line(name)}."
    raise InvalidOptions(f"There is no verb {clean_line(name)!r}. {meant} %heroku --help lists the verbs.")


def _read(verb: Verb, raw: list[str], command: str | None, namespace: Mapping[str, Any], *, cell: bool) -> Parsed:
    """Tell options, their values and words apart."""
    known = {name: option for option in (*verb.options, _HELP) for name in option.names}
    parsed = Parsed(verb, command=command)
    waiting = list(raw)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-") or word == "-":
            parsed.words.append(_plain(word, namespace))
            continue
        typed, equals, value = word.partition("=")
        option = known.get(typed.replace("_", "-") if typed.startswith("--") else typed)
        if option is None:
            raise _unknown(typed, verb, known, cell=cell)
        if option is _HELP:
            return Parsed(verb, help=True)
        if option.metavar and not equals:
            if not waiting:
                raise InvalidOptions(f"{typed} expects {option.metavar}: {option.help}.")
            value = waiting.pop(0)
            if value in known:
                raise InvalidOptions(f"{typed} expects {option.metavar}, and {value} is an option.")
        elif equals and not option.metavar:
            raise InvalidOptions(f"{typed} takes no value.")
        _keep(parsed, option, typed, value, namespace)
    return parsed


def _keep(parsed: Parsed, option: Option, typed: str, raw: str, namespace: Mapping[str, Any]) -> None:
    """Note an option's value; a repeat of a single one is refused."""
    if option.name == "arg":
        name, value = read_argument(raw, namespace)
        if name in dict(parsed.arguments):
            raise InvalidOptions(f"{name} is given twice: give each parameter once.")
        parsed.arguments.append((name, value))
        return
    if option.name in parsed.options and not option.many:
        raise InvalidOptions(f"{typed} is given twice: once is enough.")
    if option.metavar and not _plain(raw, namespace):
        raise InvalidOptions(f"{typed} expects {option.metavar}, and nothing came.")
    try:
        read = option.convert(_plain(raw, namespace)) if option.metavar else True
    except ValueError as error:
        raise InvalidOptions(f"{typed} {clean_line(raw[:60])}: {error}.") from None
    parsed.options[option.name] = [*parsed.options.get(option.name, []), read] if option.many else read


def _plain(word: str, namespace: Mapping[str, Any]) -> str:
    text, is_literal = unquote(word)
    return text if is_literal else expand(text, namespace)


def _unknown(typed: str, verb: Verb, known: Mapping[str, Option], *, cell: bool) -> InvalidOptions:
    near = get_close_matches(typed, known, 1)
    form = "%%heroku" if cell else f"%heroku {verb.name}"
    hint = f" Did you mean {near[0]}?" if near else ""
    return InvalidOptions(f"There is no option {clean_line(typed)}.{hint} {form} --help lists them.")


def _checked(parsed: Parsed, *, cell: bool) -> Parsed:
    """Check how many words came."""
    verb, words = parsed.verb, parsed.words
    if parsed.help:
        return parsed
    if verb.name == "help":
        return Parsed(_verb(words[0])[0] if words else verb, help=True)
    if cell and len(words) > 1 and words[0] in VERBS:
        raise InvalidOptions(f"A cell needs no verb: %%heroku {clean_line(words[1])}")
    if len(words) < verb.least:
        raise InvalidOptions(f"%heroku {verb.name} expects {verb.words}, for example: {verb.examples[0]}")
    if verb.most is not None and len(words) > verb.most:
        extra = clean_line(" ".join(words[verb.most :])[:60])
        form = "A parameter is --arg NAME=VALUE; a command stands after --." if verb.name == "run" else ""
        raise InvalidOptions(f"{extra}: too many words. %heroku {verb.name} {verb.words} is the form. {form}".rstrip())
    if parsed.command is not None and (verb.name != "run" or words):
        raise InvalidOptions("A command after -- stands alone, without a task: %heroku run -- COMMAND")
    return parsed


def _help_line(option: Option) -> str:
    return f"  {option.usage:<24} {option.help}"
