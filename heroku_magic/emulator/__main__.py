"""The command line of the embedded Heroku: prints `export` lines for a shell, then serves until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shlex
import signal
import stat
import sys
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING, Any

from heroku_magic.emulator import descriptors
from heroku_magic.emulator.dynos import watch
from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.faults import FAULTS, Faults
from heroku_magic.emulator.platform import Platform
from heroku_magic.emulator.rate_limit import CAPACITY
from heroku_magic.emulator.server import Server
from heroku_magic.emulator.timings import TIMINGS, Timings, with_setting
from heroku_magic.emulator.web.cors import read_origin
from heroku_magic.platform_facts.folders import expanded

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\
example:
  python -m heroku_magic.emulator --app demo=./worker --port 5001
prints
  export HEROKU_HOST=http://127.0.0.1:5001
  export HEROKU_API_KEY=...
  export HEROKU_PARTICLEBOARD_URL=http://127.0.0.1:5001
  export HEROKU_DATA_HOST=127.0.0.1
  export NODE_EXTRA_CA_CERTS=...
  export HEROKU_GIT_HOST=127.0.0.1:...
and settings for git as GIT_CONFIG_... variables. Paste these lines into a shell. Then any client whose API host
can be set, including the official CLI, talks to the embedded Heroku, and after `heroku git:remote --app demo`
`git push heroku main` deploys to it. Dynos are processes with your user's rights: serve only folders whose code
you would run yourself.
"""
# Answers git from the environment, so that the token is in no URL, no list of processes and no file.
# https://git-scm.com/docs/gitcredentials#_custom_helpers
_HELPER = (
    '!f() { if test "$1" = get && test -n "$HEROKU_API_KEY"; then '
    'echo username=heroku; echo "password=$HEROKU_API_KEY"; fi; }; f'
)


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    try:
        asyncio.run(_serve(options))
    except StartError as error:
        print(f"embedded Heroku: {error}", file=sys.stderr)  # noqa: T201 - output of a command line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m heroku_magic.emulator",
        description="A local server that speaks Heroku's Platform API and runs each dyno as a process.",
        epilog=_EPILOG + _faults_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for flag, (text, settings) in _OPTIONS.items():
        parser.add_argument(flag, help=text, **settings)
    return parser


def _faults_help() -> str:
    kinds = ", ".join(
        f"{kind.letter}: {kind.description}" for kind in dict.fromkeys(kind for kind, _ in FAULTS.values())
    )
    lines = (f"  {f'{name}={kind.letter}':26} {effect}" for name, (kind, effect) in FAULTS.items())
    return f"\nfaults ({kinds}):\n" + "\n".join(lines)


def _app(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, expanded(folder)


def _path(text: str) -> Path:
    return expanded(text).absolute()


def _count(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _platform(options: argparse.Namespace) -> Platform:
    folders = dict(options.apps)
    if len(folders) < len(options.apps):
        raise StartError("Two --app options have the same name.")
    faults = Faults(options.seed)
    try:
        timings = reduce(with_setting, options.timings, Timings())
    except ValueError as error:
        raise StartError(f"--time {error}.") from None
    try:
        for setting in options.faults:
            name, equals, value = setting.partition("=")
            faults.set(name, value if equals else "1")
    except ValueError as error:
        raise StartError(f"--fault {error}.") from None
    return Platform(
        folders,
        one_offs=options.one_offs,
        timings=timings,
        faults=faults,
        token=options.token,
        state=options.state,
        requests_left=options.requests_left,
    )


def _origins(options: argparse.Namespace) -> list[str]:
    try:
        return [read_origin(text) for text in options.origins]
    except ValueError as error:
        raise StartError(f"--allow-origin {error}.") from None


def _restore_signals() -> None:
    """Undo what our parent ignores or blocks: a dyno would inherit it, and its shell could not restore it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Python ignores these two itself, and restores them in its child processes.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


async def _serve(options: argparse.Namespace) -> None:
    _restore_signals()
    descriptors.raise_limit()
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end.set)
    platform = _platform(options)
    server = Server(platform, _origins(options))
    server.start(options.port, options.git_port)
    if options.until_stdin_closes:
        watch.when_stdin_closes(end.set)
    if options.parent is not None:
        watch.when_gone(options.parent, end.set)
    variables = _api_exports(server.url, platform.token)
    if options.parent is None:
        # A kernel does not need it, and making the certificate doubles the time of the start.
        variables |= _tls_exports(server.git_url, platform.context.certificate.authority)
    lines = _as_shell(variables)
    if options.env_file is None:
        _print_private(lines)
    else:
        _write_private(options.env_file, lines)
    await end.wait()
    await server.stop()


def _api_exports(url: str, token: str) -> dict[str, str]:
    """Return the variables of a client of the API."""
    return {
        "HEROKU_HOST": url,
        "HEROKU_API_KEY": token,
        "HEROKU_PARTICLEBOARD_URL": url,
        # The CLI adds the port of HEROKU_HOST. Without it, `heroku pg:backups` sends the token to Heroku's own host.
        "HEROKU_DATA_HOST": "127.0.0.1",
    }


def _tls_exports(git_url: str, authority: Path) -> dict[str, str]:
    """Return the variables of what connects by TLS: attached dynos of the official CLI, and git.

    Git's settings are for this URL only and are added to the settings in the environment.
    https://git-scm.com/docs/git-config#ENVIRONMENT
    """
    url = f"{git_url}/"
    settings = [
        (f"http.{url}.sslCAInfo", str(authority)),
        # Where GIT_SSL_CAINFO is set, it comes before the file, and the folder still counts.
        (f"http.{url}.sslCAPath", str(authority.parent)),
        (f"http.{url}.proxy", ""),
        # An empty helper removes the user's own, which would store the token.
        (f"credential.{url}.helper", ""),
        (f"credential.{url}.helper", _HELPER),
    ]
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    first = int(count) if count.isdecimal() and count.isascii() else 0
    exports = {
        "NODE_EXTRA_CA_CERTS": str(authority),
        "HEROKU_GIT_HOST": git_url.removeprefix("https://"),
        "GIT_CONFIG_COUNT": str(first + len(settings)),
    }
    for number, (key, value) in enumerate(settings, first):
        exports |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return exports


def _as_shell(exports: dict[str, str]) -> str:
    """Return one `export` line for each variable."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())


def _print_private(text: str) -> None:
    """Print a text with the token; a file that standard output was redirected to becomes its owner's alone."""
    with suppress(OSError):  # a file of somebody else
        if stat.S_ISREG(os.fstat(1).st_mode):
            os.fchmod(1, 0o600)
    os.write(1, text.encode())


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it appears complete."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with suppress(FileNotFoundError):
            part.unlink()
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise StartError(f"--env-file {path} cannot be written: {error.strerror}.") from None


_REPEATED: dict[str, Any] = {"action": "append", "default": []}
# The help of each option of the command line, and what else `add_argument` takes.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "--app": (
        "serve this folder as an app of this name; may be repeated (--app demo=./worker)",
        {**_REPEATED, "dest": "apps", "type": _app, "metavar": "NAME=FOLDER"},
    ),
    "--port": ("port on 127.0.0.1; by default a free one (--port 5001)", {"type": int, "default": 0}),
    "--allow-origin": (
        (
            "let web pages of this origin use the API; may be repeated; by default none may; "
            '"null" is a page that is opened from a file (--allow-origin http://127.0.0.1:8000)'
        ),
        {**_REPEATED, "dest": "origins", "metavar": "URL"},
    ),
    "--git-port": (
        (
            "port on 127.0.0.1 for git; by default a free one; set it to keep the git remotes of your repositories "
            "valid (--git-port 5002)"
        ),
        {"type": int, "default": 0, "metavar": "PORT"},
    ),
    "--token": (
        "the API token; by default a random one, which no list of processes shows (--token secret)",
        {"metavar": "TOKEN"},
    ),
    "--state": (
        "keep apps, config, releases and slugs here for the next start (--state ./heroku-state)",
        {"type": _path, "metavar": "FOLDER"},
    ),
    "--one-offs": (
        "most one-off dynos per app at once, of all sizes; by default Heroku's limit per size (--one-offs 8)",
        {"type": _count, "metavar": "N"},
    ),
    "--requests-left": (
        "requests left in the account's budget at the start; 75 are added per minute (--requests-left 20)",
        {"type": _count, "default": CAPACITY, "metavar": "N"},
    ),
    "--time": (
        f"change one of the platform's times, by default Heroku's own: {', '.join(TIMINGS)} (--time grace=5)",
        {**_REPEATED, "dest": "timings", "metavar": "NAME=SECONDS"},
    ),
    "--fault": (
        "make something go wrong; may be repeated; NAME alone is NAME=1; see the list below (--fault drop-lines=0.1)",
        {**_REPEATED, "dest": "faults", "metavar": "NAME=VALUE"},
    ),
    "--seed": ("the same seed gives the same faults (--seed 7)", {"type": int, "default": 0, "metavar": "N"}),
    "--env-file": (
        "write the export lines to this file, readable by you alone, instead of printing them (--env-file heroku.env)",
        {"type": _path, "metavar": "PATH"},
    ),
    "--until-stdin-closes": (
        "end when standard input closes (sleep 60 | python -m ... --until-stdin-closes)",
        {"action": "store_true"},
    ),
    "--parent": ("end when this process has ended (--parent $$)", {"type": _count, "metavar": "PID"}),
}


if __name__ == "__main__":
    sys.exit(main())
