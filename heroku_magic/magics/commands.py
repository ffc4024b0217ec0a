"""The table of verbs and their options, which the parser, the help and completion read.

A new verb is a row of this table and a method of a verb group, named after the verb with an underscore
in front. An option of runs or sweeps is a field in `runs/options.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from heroku_magic.magics.option_values import idle_time, number, scopes, token_lifetime, variable, variables
from heroku_magic.magics.verb import Option, Verb
from heroku_magic.protocol.polars_frame import check_library
from heroku_magic.runs.options import LONGEST_TIMEOUT, WARM_IDLE, RunOptions, SweepOptions, age, command_line, lifetime


def _fields(kind: type[Any]) -> tuple[Option, ...]:
    """Return the options that the fields of a dataclass define."""
    rows = [{key: one for key, one in row.items() if key != "value"} for row in command_line(kind).values()]
    return tuple(Option(f"{', '.join(row.pop('names'))} {row.pop('metavar')}".rstrip(), **row) for row in rows)


def _group(name: str, *options: Option) -> tuple[Option, ...]:
    return tuple(replace(option, group=name) for option in options)


HELP = Option("-h, --help", "show this help")
_VERBOSE = Option("-v, --verbose", "also show Heroku's own log lines, timestamps and full tracebacks")
_TRACEBACK = Option("-v, --verbose", "show the full traceback of an error")
_QUIET = Option("-q, --quiet", "show output only if something goes wrong")
_OUT = Option(
    "-o, --out NAME", "assign the DataFrame to NAME instead of showing it", convert=variable, completes="variable"
)
_AS = Option(
    "--as LIBRARY",
    "the library of the DataFrame: pandas (the default), or polars if it is installed",
    convert=check_library,
)
_BG = Option("--bg", "return a handle at once; the output keeps updating")
_NOTIFY = Option("--notify", "show a browser notification, or ring the terminal's bell, if it takes more than 30 s")
_NO_RAISE = Option("--no-raise", "return the rows so far instead of raising an error")
_APP = (
    Option("-a, --app NAME", "the Heroku app to use", completes="app"),
    Option("-r, --remote REMOTE", "use the app that this git remote points to"),
)
WHERE = (
    *_APP,
    Option("--local", "use the embedded Heroku, whatever app is set"),
    Option("--worker FOLDER", "the folder that the embedded Heroku serves (implies --local)"),
)
_RUN_OPTIONS = (*_fields(RunOptions), Option("--no-cache", "neither use the cache nor write to it"))
_RUN = (
    Option("-e, --arg NAME=VALUE", "set a parameter; $name or {expression} passes a Python value", many=True),
    *_group("Where it runs", *WHERE),
    *_group("How it runs", *_RUN_OPTIONS),
    *_group(
        "Many runs",
        Option(
            "--each NAME[=VALUES]",
            "one run per value; repeat it to run every combination",
            many=True,
            completes="parameter",
        ),
        *(option for option in _fields(SweepOptions) if option not in _RUN_OPTIONS),
    ),
    *_group(
        "What you see",
        Option("--dry-run", "show what would run, for how long and at what cost; start nothing"),
        Option("--form", "show a form that starts with these values instead of running"),
        _BG,
        _NOTIFY,
        _OUT,
        _AS,
        _QUIET,
        _VERBOSE,
        Option("-x, --exit-code", "fail if the exit status is not 0 (the default)"),
        _NO_RAISE,
    ),
)
_CONNECTED = (*WHERE, _TRACEBACK)
_FOLLOWED = (*WHERE, _OUT, _AS, _BG, _NOTIFY, _QUIET, _VERBOSE, _NO_RAISE)
# A form starts many runs and never blocks the kernel, so how to wait for one run does not matter.
_NOT_IN_FORMS = frozenset({"bg", "detach", "as", "notify", "quiet", "exit_code", "no_raise", "form", "dry_run"})
# A cell of code runs no process type and declares no parameters to draw a form of.
_NOT_FOR_CODE = frozenset({"any_type", "form", "each"})
_CODE = (
    Option(
        "-i, --input NAME[,NAME…]",
        "notebook variables that the code uses, passed by value; small DataFrames too",
        many=True,
        convert=variables,
        completes="variables",
    ),
    Option(
        "--each NAME[=VALUES]",
        "one run per value, of a variable or as given; repeat it to run every combination",
        many=True,
        completes="variables",
        group="Many runs",
    ),
    *(option for option in _RUN if option.name not in _NOT_FOR_CODE),
)

# The only verb without a line form: its cell's body is the code.
DYNO = Verb(
    "dyno",
    "run the cell's own Python code on a one-off dyno of any app that has Python",
    _CODE,
    (),
    magic="%%dyno",
    body="The body is the code. It can use the inputs, the parameters (JSON text is\n"
    "parsed), emit, emit_file, progress, metric and display. What it emits, or the\n"
    "value of its last expression, comes back as a DataFrame.",
    cell_examples=(
        'names = ["Ada", "Grace"]',
        '%%dyno -i names --arg n=1000 --out df\n[{"name": name, "n": n} for name in names]',
    ),
)

_TABLE = (
    Verb(
        "run [TASK] [options] [-- COMMAND]",
        "run a task, or any command after --, on a one-off dyno",
        _RUN,
        ("df = %heroku run --arg n=10", "%heroku run hello --arg NAME=Daniela", "%heroku run -- python --version"),
        magic="%%heroku",
        body="The body sets parameters, one `name = expression` per line. It can use the\nnotebook's variables.",
        cell_examples=(
            "%%heroku --arg n=10",
            "data = [3, 1, 2]",
            "%%heroku task --out df\nn = len(data)\nseed = 7",
            "%%heroku task --each n,seed --jobs 20\nn = [1, 10, 100]\nseed = range(50)",
        ),
    ),
    Verb(
        "attach RUN",
        "follow a run or sweep started with --detach, from any kernel in its folder",
        _FOLLOWED,
        ("df = %heroku attach hm-7f3a2c90",),
        session="%heroku use my-app\nrun = %heroku run --detach\ndf = %heroku attach {run.id}",
    ),
    Verb(
        "resume [FILE]",
        "run what is missing from a sweep: the last one, or one recorded with --save",
        _FOLLOWED,
        ("df = %heroku resume", "df = %heroku resume grid.jsonl"),
        session="%heroku run --each n={[1,2,3]} --save grid.jsonl",
    ),
    Verb(
        "form [TASK]",
        "show a form for a task's parameters, with a Run/Stop button",
        (
            *(option for option in _RUN if option.name not in _NOT_IN_FORMS),
            Option("--export FILE", "write the form as a web page (page.html) or as an app for Voila (app.ipynb)"),
            Option("--api-url URL", "the embedded Heroku that an exported page uses instead of Heroku"),
            Option("--force", "let --export replace a file"),
        ),
        (
            "%heroku form bootstrap --arg samples=500",
            "form = %heroku form bootstrap --out df",
            "%heroku form bootstrap --export page.html",
        ),
    ),
    Verb(
        "tasks [TASK]", "list the tasks and their parameters", _CONNECTED, ("%heroku tasks", "%heroku tasks bootstrap")
    ),
    Verb("ps", "list the dynos, with the run of each one started here", _CONNECTED, ("%heroku ps",)),
    Verb(
        "warm [N]",
        "keep N dynos for calls with --warm, or list them; 0 stops them",
        (
            *_CONNECTED,
            Option("-s, --size SIZE", "dyno size, such as standard-2x"),
            Option(
                "--idle TIME",
                f"stop a dyno after this time without a call (default: {WARM_IDLE / 60:g}m)",
                convert=idle_time,
            ),
            Option(
                "--life TIME", f"stop a dyno after this time (default: {LONGEST_TIMEOUT // 3600}h)", convert=lifetime
            ),
        ),
        ("%heroku warm 2", "%heroku warm", "%heroku warm 0"),
    ),
    Verb(
        "stop DYNO…",
        "stop dynos that heroku_magic started",
        (*_CONNECTED, Option("--any", "also stop dynos that others started")),
        ("%heroku stop run.4821",),
        session="run = %heroku run --bg\n%heroku stop {run.id}",
    ),
    Verb(
        "logs DYNO",
        "show the log of a dyno or of a run again",
        (
            *WHERE,
            Option(
                "-v, --verbose",
                "also show lines with rows and progress, e-mail addresses and the traceback of an error",
            ),
        ),
        ("%heroku logs run.4821",),
        session="%heroku run hello\nrun = %heroku last\n%heroku logs {run.id}",
    ),
    Verb("last", "return the last run: its rows so far, log and exit status", (_TRACEBACK,), ("run = %heroku last",)),
    Verb(
        "history [TASK]",
        "list the runs that this folder's kernels have made, newest first",
        (
            Option("--since TIME", "only runs at most this old, such as 90s, 30m, 8h or 2d", convert=age),
            Option("--failed", "only runs that failed or were stopped"),
            Option("--cached", "only runs that were answered from the cache"),
            Option("--limit N", "at most the newest N runs", convert=number),
            Option(
                "--forget RUN", "delete a run or sweep permanently, or all of them", many=True, completes="recorded"
            ),
            _TRACEBACK,
        ),
        ("%heroku history", "%heroku history hello --since 2d", "%heroku history --failed --limit 5"),
    ),
    Verb(
        "show RUN",
        "show the whole output of an earlier run again: -1 is the last, -2 the one before",
        (Option("--export FILE", "write it as a web page (page.html) instead", completes="path"), _OUT, _AS, _VERBOSE),
        ("%heroku show -1", "df = %heroku show hm-7f3a2c90", "%heroku show -1 --export report.html"),
        completes="recorded",
        session="%heroku run hello\nrun = %heroku last\ndf = %heroku show {run.id}",
    ),
    Verb(
        "rerun RUN",
        "run an earlier run or sweep again: its code and parameters on today's release",
        (
            Option(
                "-e, --arg NAME=VALUE", "change a parameter; $name or {expression} passes a Python value", many=True
            ),
            *_FOLLOWED,
        ),
        ("df = %heroku rerun -1", "df = %heroku rerun hm-7f3a2c90 --arg n=20"),
        completes="recorded",
        session="%heroku run --arg n=10\nrun = %heroku last\ndf = %heroku rerun {run.id} --arg n=20",
    ),
    Verb(
        "diff RUN RUN",
        "show what differs between two earlier runs: parameters, code, release, tables",
        (_TRACEBACK,),
        ("%heroku diff -2 -1",),
        completes="recorded",
        session="%heroku run --arg n=10\n%heroku run --arg n=20",
    ),
    Verb(
        "status",
        "show the app, its dynos, what today cost, log drains, the account, and leftovers",
        _CONNECTED,
        ("%heroku status",),
    ),
    Verb(
        "login",
        "find or prompt for a token and check it, or create a more restricted one",
        (
            Option("--scope SCOPES", "create a token with these scopes, such as identity,read", convert=scopes),
            Option(
                "--expires TIME",
                "create a token that expires after this time, such as 8h or 2d",
                convert=token_lifetime,
            ),
            _TRACEBACK,
        ),
        ("%heroku login", "%heroku login --scope identity,write-protected --expires 8h"),
    ),
    Verb(
        "logout",
        "forget the notebook's token, and revoke it if it was created here",
        (_TRACEBACK,),
        ("%heroku logout",),
    ),
    Verb("apps", "list the account's apps", (_TRACEBACK,), ("%heroku apps",)),
    Verb(
        "use APP",
        "choose the app that cells run on, or the folder (./FOLDER) that the embedded Heroku serves",
        (_TRACEBACK,),
        ("%heroku use my-app", "%heroku use ./worker"),
    ),
    Verb(
        "create [NAME]",
        "create an app and let cells run on it",
        (
            Option("--region REGION", "us, eu, or the region of a private space"),
            Option("--stack STACK", "Heroku stack, such as heroku-24"),
            _TRACEBACK,
        ),
        ("%heroku create my-app --region eu",),
    ),
    Verb(
        "destroy [NAME]",
        "destroy an app permanently",
        (
            Option("--confirm NAME", "repeat the app's name to confirm", completes="app"),
            Option("--leftovers", "instead, remove apps and tokens that crashed notebooks on this machine left behind"),
            _TRACEBACK,
        ),
        ("%heroku destroy my-app --confirm my-app", "%heroku destroy --leftovers"),
        completes="app",
        session="%heroku create my-app",
    ),
    Verb("init [FOLDER]", "create a worker folder to start from", (_TRACEBACK,), ("%heroku init worker",)),
    Verb(
        "deploy [FOLDER]",
        "build a folder on Heroku and release it",
        (
            *_APP,
            Option("--temporary", "deploy to a new app that is destroyed when the kernel ends"),
            Option("--allow FILE", "send this file even though it looks like a secret", many=True),
            Option("--git", "push the folder's HEAD with git instead of sending its files"),
            _QUIET,
            _VERBOSE,
        ),
        ("%heroku deploy worker", "%heroku deploy worker --git", "%heroku deploy worker --temporary"),
        session="%heroku init worker\n%heroku create my-app",
    ),
    Verb("releases", "list the app's releases", _CONNECTED, ("%heroku releases",)),
    Verb("rollback VERSION", "roll back to an earlier release", _CONNECTED, ("%heroku rollback v12",)),
    Verb(
        "config [NAME]",
        "list the config vars, or set one to a value typed at a hidden prompt",
        (*_CONNECTED, Option("--unset NAME", "remove a config var", many=True)),
        ("%heroku config", "%heroku config API_TOKEN", "%heroku config --unset API_TOKEN"),
    ),
    Verb("help [VERB]", "show this help, or the help of a verb", (), ("%heroku help run",)),
)
VERBS = {verb.name: verb for verb in _TABLE}

# The verb that each cell magic runs.
MAGICS = {verb.magic: verb for verb in (*_TABLE, DYNO) if verb.magic}

# The official CLI's names, for those used to it, and the options that they imply.
COLON_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "ps:stop": ("stop", {}),
    "run:detached": ("run", {"bg": True}),  # not `detach`, which the embedded Heroku does not offer
    "auth:login": ("login", {}),
    "auth:logout": ("logout", {}),
    "apps:create": ("create", {}),
    "apps:destroy": ("destroy", {}),
    "config:set": ("config", {}),
    "config:unset": ("config", {"unset": []}),
}
