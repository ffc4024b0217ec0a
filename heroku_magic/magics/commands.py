"""The one table of verbs and their options, which the parser, the help and completion read; it reads no line."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_TIMEOUT = 86400  # seconds
# https://devcenter.heroku.com/articles/oauth#scopes
SCOPES = ("global", "identity", "read", "write", "read-protected", "write-protected")
_TIME = re.compile(r"(\d{1,8})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Option:
    """One option: its names (the long one last), what its value is called (empty: a flag), its help.

    completes: what kind of thing the value is, where what it is called does not say that.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    many: bool = False
    convert: Callable[[str], Any] = str
    completes: str = ""

    @property
    def kind(self) -> str:
        """What kind of thing its value is, for completion."""
        return self.completes or self.metavar.lower()

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
    """One verb: what it does, how many words it takes (least, most; None is no limit), its options.

    completes: what kind of thing the words are, where what they are called does not say that. magic: the
    cell magic that is this verb, and body: what a cell's body is to it; empty where a cell cannot say it.
    """

    name: str
    summary: str
    words: str
    least: int
    most: int | None
    options: tuple[Option, ...]
    examples: tuple[str, ...]
    completes: str = ""
    magic: str = ""
    body: str = ""
    cell_examples: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What kind of thing its words are, for completion."""
        return self.completes or self.words.partition(" ")[0].strip("[]…").lower()


def _seconds(text: str) -> int:
    digits = text.lstrip("0")
    if not text.isascii() or not digits.isdecimal() or len(digits) > 5 or int(digits) > LONGEST_TIMEOUT:
        raise ValueError(f"expected whole seconds from 1 to {LONGEST_TIMEOUT} (24 hours)")
    return int(digits)


def _scopes(text: str) -> list[str]:
    scopes = [part.strip() for part in text.split(",")]
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise ValueError(f"{unknown[0] or 'an empty scope'} is none: expected one or more of {', '.join(SCOPES)}")
    return scopes


def _lifetime(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None or not 60 <= (seconds := int(match[1]) * _UNITS[match[2]]) <= 366 * 86400:
        raise ValueError("expected a time from a minute to a year, such as 30m, 8h or 2d")
    return seconds


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) < 10**8:
        raise ValueError("expected a whole number from 1 on")
    return int(text)


def _retries(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _chunk(text: str) -> int:
    if text == "auto":
        return 0
    try:
        return _count(text)
    except ValueError:
        raise ValueError("expected a whole number from 1 on, or auto") from None


def _price(text: str) -> float:
    try:
        dollars = float(text.removeprefix("$"))
    except ValueError:
        dollars = 0.0
    if not 0 < dollars < 1e9:
        raise ValueError("expected dollars, such as 0.50")
    return dollars


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("expected the name of a variable")
    return text


def _variables(text: str) -> list[str]:
    try:
        return [_variable(name.strip()) for name in text.split(",")]
    except ValueError:
        raise ValueError("expected names of variables, as in a,b without blanks; a value is --arg NAME=VALUE") from None


def _none(text: str) -> str:
    if text != "none":
        raise ValueError("expected none")
    return text


HELP = Option(("-h", "--help"), "", "show this help")
_VERBOSE = Option(("-v", "--verbose"), "", "Heroku's own lines and times too; whole tracebacks")
WHERE = (
    Option(("-a", "--app"), "NAME", "the app on Heroku", completes="app"),
    Option(("-r", "--remote"), "REMOTE", "the git remote that names the app"),
    Option(("--local",), "", "the embedded Heroku, whatever app is set"),
    Option(("--worker",), "FOLDER", "the folder that the embedded Heroku serves (implies --local)"),
)
_OUT = Option(
    ("-o", "--out"),
    "NAME",
    "bind the DataFrame to NAME and show no value",
    convert=_variable,
    completes="variable",
)
_RUN = (
    Option(("-e", "--arg"), "NAME=VALUE", "one parameter; $name and {expression} pass a variable", many=True),
    Option(
        ("--secret",),
        "NAME",
        "a parameter from the environment, the keyring or a hidden prompt",
        many=True,
        completes="secret",
    ),
    *WHERE,
    Option(("-s", "--size"), "SIZE", "dyno size, such as standard-2x"),
    Option(("--timeout",), "SECONDS", "longest life of the dyno, boot included (3600)", convert=_seconds),
    Option(
        ("-o", "--out"), "NAME", "bind the DataFrame to NAME and show no value", convert=_variable, completes="variable"
    ),
    Option(
        ("--each",),
        "NAME[=VALUES]",
        "one run for each value; again: all combinations",
        many=True,
        completes="parameter",
    ),
    Option(("--zip",), "", "walk the lists of --each in step"),
    Option(("--jobs",), "N", "runs of a sweep at once, at most", convert=_count),
    Option(("--sample",), "K", "only K combinations of a sweep, drawn by chance", convert=_count),
    Option(("--seed",), "N", "what --sample draws by", convert=int),
    Option(("--chunk",), "K", "combinations that share a dyno; auto: as many as its boot is worth", convert=_chunk),
    Option(("--retries",), "N", "more tries of a run that the platform failed", convert=_retries),
    Option(("--retry-tasks",), "", "the tries of --retries for failed tasks, too"),
    Option(("--fail-fast",), "", "stop a sweep at its first failure"),
    Option(("--save",), "FILE", "write each run of a sweep that ends into a file, for %heroku resume"),
    Option(("--dry-run",), "", "say what would run, how long, for how much; start nothing"),
    Option(("--max-cost",), "DOLLARS", "refuse or stop what costs more, at list price", convert=_price),
    Option(("--bg",), "", "return a handle at once; the output goes on updating"),
    Option(("--detach",), "", "the same, and the run goes on when the kernel ends"),
    Option(("--form",), "", "show a form of the parameters instead; the values given are where it starts"),
    Option(("-q", "--quiet"), "", "show only what goes wrong"),
    _VERBOSE,
    Option(("-x", "--exit-code"), "", "fail where the exit status is not 0 (the default)"),
    Option(("--no-raise",), "", "return what there is instead of raising"),
    Option(("--rows",), "none", "take no rows from what the task prints", convert=_none),
    Option(("--any-type",), "", "take a process type that is no task, such as web"),
    Option(("--override",), "NAME", "let a parameter replace this config var", many=True),
)
_SEE = (*WHERE, _VERBOSE)
# A form starts many runs and never keeps the kernel: how one run is waited for is no question there.
_OF_ONE_RUN = frozenset({"bg", "detach", "quiet", "exit_code", "no_raise", "form", "dry_run"})
_FORM = tuple(option for option in _RUN if option.name not in _OF_ONE_RUN)
# No process type is run, and there is no declaration to draw a form from.
_NOT_OF_CODE = frozenset({"any_type", "form", "each"})
_CODE = (
    Option(
        ("-i", "--input"),
        "NAME[,NAME…]",
        "variables of the notebook that the code uses, by value; small DataFrames too",
        many=True,
        convert=_variables,
        completes="variables",
    ),
    Option(
        ("--each",),
        "NAME[=VALUES]",
        "one run for each value, of a variable or as given; again: all combinations",
        many=True,
        completes="variables",
    ),
    *(option for option in _RUN if option.name not in _NOT_OF_CODE),
)

# The verb that only a cell can say, for its body is the code.
DYNO = Verb(
    "dyno",
    "run the cell's own Python code on a one-off dyno of any app that has Python",
    "",
    0,
    0,
    _CODE,
    (),
    magic="%%dyno",
    body="The body is the code. There it finds the inputs, the parameters (what reads as\n"
    "JSON is that), emit, emit_file, progress, metric and display. What it emits, or\n"
    "the value of its last expression, comes back as a DataFrame.",
    cell_examples=('%%dyno -i names --arg n=1000 --out df\n[{"name": name, "n": n} for name in names]',),
)

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
            magic="%%heroku",
            body="The body holds parameters: `name = expression` a line, over the notebook's\nvariables.",
            cell_examples=(
                "%%heroku --arg n=10",
                "%%heroku task --out df\nn = len(data)\nseed = 7",
                "%%heroku task --each n,seed --jobs 20\nn = [1, 10, 100]\nseed = range(50)",
            ),
        ),
        Verb(
            "attach",
            "take up a run or a sweep that --detach left, in any kernel in its folder",
            "RUN",
            1,
            1,
            (
                *WHERE,
                Option(
                    ("-o", "--out"),
                    "NAME",
                    "bind the DataFrame to NAME and show no value",
                    convert=_variable,
                    completes="variable",
                ),
                Option(("--bg",), "", "return a handle at once; the output goes on updating"),
                Option(("-q", "--quiet"), "", "show only what goes wrong"),
                _VERBOSE,
                Option(("--no-raise",), "", "return what there is instead of raising"),
            ),
            ("df = %heroku attach hm-7f3a2c90",),
        ),
        Verb(
            "resume",
            "run what is missing of a sweep: the last one, or that in a file of --save",
            "[FILE]",
            0,
            1,
            (
                *WHERE,
                _OUT,
                Option(("--bg",), "", "return a handle at once; the output goes on updating"),
                Option(("-q", "--quiet"), "", "show only what goes wrong"),
                _VERBOSE,
                Option(("--no-raise",), "", "return what there is instead of raising"),
            ),
            ("df = %heroku resume", "df = %heroku resume grid.jsonl"),
        ),
        Verb(
            "form",
            "show a form of a task's parameters, with one Run/Stop button",
            "[TASK]",
            0,
            1,
            _FORM,
            ("%heroku form bootstrap --arg samples=500", "form = %heroku form bootstrap --out df"),
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
        Verb(
            "status",
            "the app, its dynos and drains, the account, quota, what crashes left",
            "",
            0,
            0,
            _SEE,
            ("%heroku status",),
        ),
        Verb(
            "login",
            "find a token or ask for one, check it; a narrower one for this notebook alone",
            "",
            0,
            0,
            (
                Option(
                    ("--scope",),
                    "SCOPES",
                    "make a token of these, such as identity,read",
                    convert=_scopes,
                ),
                Option(("--expires",), "TIME", "make a token that ends after 30m, 8h or 2d", convert=_lifetime),
                _VERBOSE,
            ),
            ("%heroku login", "%heroku login --scope identity,write-protected --expires 8h"),
        ),
        Verb(
            "logout",
            "forget the notebook's token, or revoke it",
            "",
            0,
            0,
            (_VERBOSE,),
            ("%heroku logout",),
        ),
        Verb("apps", "list the account's apps", "", 0, 0, (_VERBOSE,), ("%heroku apps",)),
        Verb("use", "choose the app that cells run on", "APP", 1, 1, (_VERBOSE,), ("%heroku use my-app",)),
        Verb(
            "create",
            "create an app, and let cells run on it",
            "[NAME]",
            0,
            1,
            (
                Option(("--region",), "REGION", "us, eu or a private space's"),
                Option(("--stack",), "STACK", "such as heroku-24"),
                _VERBOSE,
            ),
            ("%heroku create my-app --region eu",),
        ),
        Verb(
            "destroy",
            "destroy an app for good",
            "[NAME]",
            0,
            1,
            (
                Option(("--confirm",), "NAME", "the app's name again", completes="app"),
                Option(("--leftovers",), "", "instead: what crashed notebooks of this machine left, apps and tokens"),
                _VERBOSE,
            ),
            ("%heroku destroy my-app --confirm my-app", "%heroku destroy --leftovers"),
            completes="app",
        ),
        Verb(
            "init",
            "write a worker folder to start from",
            "[FOLDER]",
            0,
            1,
            (_VERBOSE,),
            ("%heroku init worker",),
        ),
        Verb(
            "deploy",
            "build a folder at Heroku and release it",
            "[FOLDER]",
            0,
            1,
            (
                *WHERE[:2],
                Option(("--temporary",), "", "to a new app, which is destroyed when the kernel ends"),
                Option(("--allow",), "FILE", "send this file although it looks like a secret", many=True),
                Option(("-q", "--quiet"), "", "show only what goes wrong"),
                _VERBOSE,
            ),
            ("%heroku deploy worker", "%heroku deploy worker --temporary"),
        ),
        Verb("releases", "list the app's releases", "", 0, 0, _SEE, ("%heroku releases",)),
        Verb("rollback", "release again what an earlier release ran", "VERSION", 1, 1, _SEE, ("%heroku rollback v12",)),
        Verb(
            "config",
            "list the config vars, or set one that a hidden prompt asks for",
            "[NAME]",
            0,
            1,
            (*_SEE, Option(("--unset",), "NAME", "remove a config var", many=True)),
            ("%heroku config", "%heroku config API_TOKEN", "%heroku config --unset API_TOKEN"),
        ),
        Verb("help", "this help, or a verb's", "[VERB]", 0, 1, (), ("%heroku help run",)),
    )
}

# What begins a cell, and the verb that it is.
MAGICS = {verb.magic: verb for verb in (*VERBS.values(), DYNO) if verb.magic}

# The official CLI's colon forms, for fingers that know them, and the options that they imply.
COLON_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ps:stop": ("stop", {}),
    "run:detached": ("run", {"bg": True}),
    "auth:login": ("login", {}),
    "auth:logout": ("logout", {}),
    "apps:create": ("create", {}),
    "apps:destroy": ("destroy", {}),
    "config:set": ("config", {}),
    "config:unset": ("config", {"unset": []}),
}
