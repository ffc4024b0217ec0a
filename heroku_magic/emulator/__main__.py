"""The command line of the embedded Heroku, and what ends its process; what it serves is server.py's."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from heroku_magic.emulator.dynos import GRACE, find_bash
from heroku_magic.emulator.folder import Folder, FolderError
from heroku_magic.emulator.server import Server
from heroku_magic.emulator.state import App

_WATCH = 0.5  # seconds between two looks at the parent


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to end; return the exit status."""
    options = _parser().parse_args(arguments)
    if find_bash() is None:
        return _refuse(
            "bash was not found: dynos run their commands with it. Use Linux, macOS or WSL, or an app on Heroku."
        )
    try:
        apps = [_app(pair) for pair in options.app]
    except (FolderError, ValueError) as error:
        return _refuse(str(error))
    os.umask(0o077)
    try:
        asyncio.run(_serve(apps, options))
    except OSError as error:
        return _refuse(f"Port {options.port} cannot be listened on: {error.strerror}.")
    return 0


async def _serve(apps: list[App], options: argparse.Namespace) -> None:
    server = Server(apps, one_offs=options.one_offs, grace=options.grace, token=options.token or "")
    ended = asyncio.Event()
    try:
        server.open(options.port)
        _end_when_told(ended, options)
        sys.stdout.write(f"export HEROKU_HOST={server.url}\nexport HEROKU_API_KEY={server.token}\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await server.close()


def _end_when_told(ended: asyncio.Event, options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    if options.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), _read_stdin, ended)
    if options.parent:
        loop.call_later(_WATCH, _watch, options.parent, os.getppid() == options.parent, ended)


def _read_stdin(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        ended.set()


def _watch(parent: int, is_ours: bool, ended: asyncio.Event) -> None:
    """End when the parent has: a forked child of it may hold our standard input open for ever."""
    if os.getppid() != parent if is_ours else not _exists(parent):
        ended.set()
    else:
        asyncio.get_running_loop().call_later(_WATCH, _watch, parent, is_ours, ended)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _app(pair: str) -> App:
    name, equals, folder = pair.partition("=")
    if not equals:
        raise ValueError(f"--app {pair}: expected NAME=FOLDER, for example --app my-app=worker/")
    return App(name, Folder(Path(folder).expanduser()))


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"heroku_magic.emulator: {sentence}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m heroku_magic.emulator",
        description="A local Heroku: the Platform API on 127.0.0.1, each dyno a real process of yours (no sandbox).",
        epilog="Example: python -m heroku_magic.emulator --app my-app=worker/ "
        "prints two `export` lines; paste them into a shell, and any Heroku client there talks to it.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--app",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="an app, served live from a folder with a Procfile; may be repeated",
    )
    add("--port", type=int, default=0, help="the port to listen on, 0 (the default) takes a free one")
    add("--token", help="the token to ask for, else a random one; visible in the process list, so for tests only")
    add(
        "--one-offs",
        type=int,
        metavar="N",
        help="how many one-off dynos may run at once, beyond is 422 (default: no limit)",
    )
    add(
        "--grace", type=float, default=GRACE, metavar="SECONDS", help="from SIGTERM to SIGKILL (default: 30, as Heroku)"
    )
    add("--until-stdin-closes", action="store_true", help="end when standard input does")
    add("--parent", type=int, metavar="PID", help="end when this process does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
