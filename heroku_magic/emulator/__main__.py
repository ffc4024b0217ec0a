"""The command line of the embedded Heroku: options in, two `export` lines out, then it serves until its end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from heroku_magic.emulator import life
from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.server import Emulator

_EPILOG = """\
example:
  python -m heroku_magic.emulator --app demo=./worker --port 5001
prints
  export HEROKU_HOST=http://127.0.0.1:5001
  export HEROKU_API_KEY=...
Paste these lines into a shell: any client that lets its API host be set, the official CLI too, then talks
to it. Dynos are processes of yours with your rights: serve only folders whose code you would run yourself.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    try:
        asyncio.run(_serve(options))
    except StartError as error:
        print(f"embedded Heroku: {error}", file=sys.stderr)  # noqa: T201 - a command line speaks so
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m heroku_magic.emulator",
        description="A local server that speaks Heroku's Platform API and runs each dyno as a process.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--app",
        dest="apps",
        action="append",
        required=True,
        type=_app,
        metavar="NAME=FOLDER",
        help="serve this folder as an app of this name; may be repeated (--app demo=./worker)",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0: a free one (--port 5001)")
    parser.add_argument(
        "--one-offs", type=_count, default=50, metavar="N", help="most one-off dynos of an app at once (--one-offs 8)"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=30,
        metavar="SECONDS",
        help="time between SIGTERM and SIGKILL when a dyno is stopped; 30 on Heroku (--grace 5)",
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes (sleep 60 | python -m ... --until-stdin-closes)",
    )
    parser.add_argument("--parent", type=_count, metavar="PID", help="end when this process is gone (--parent $$)")
    return parser


def _app(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, Path(folder).expanduser()


def _count(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _distinct(apps: list[tuple[str, Path]]) -> dict[str, Path]:
    if len(dict(apps)) < len(apps):
        raise StartError("Two --app options have the same name.")
    return dict(apps)


async def _serve(options: argparse.Namespace) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    emulator = Emulator(_distinct(options.apps), one_offs=options.one_offs, grace=options.grace)
    emulator.start(options.port)
    if options.until_stdin_closes:
        life.when_stdin_closes(over.set)
    if options.parent is not None:
        life.when_gone(options.parent, over.set)
    os.write(1, f"export HEROKU_HOST={emulator.url}\nexport HEROKU_API_KEY={emulator.token}\n".encode())
    await over.wait()
    await emulator.stop()


if __name__ == "__main__":
    sys.exit(main())
