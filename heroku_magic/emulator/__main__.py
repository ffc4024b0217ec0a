"""The command line of the embedded Heroku: options in, two `export` lines out, then it serves until its end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from functools import reduce
from pathlib import Path

from heroku_magic.emulator.dynos import life
from heroku_magic.emulator.errors import StartError
from heroku_magic.emulator.faults import FAULTS, Faults
from heroku_magic.emulator.server import Emulator
from heroku_magic.emulator.times import TIMES, Times, changed
from heroku_magic.emulator.web.ratelimit import CAPACITY

_EPILOG = """\
example:
  python -m heroku_magic.emulator --app demo=./worker --port 5001
prints
  export HEROKU_HOST=http://127.0.0.1:5001
  export HEROKU_API_KEY=...
  export HEROKU_PARTICLEBOARD_URL=http://127.0.0.1:5001
  export NODE_EXTRA_CA_CERTS=...
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
        epilog=_EPILOG + _faults_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--app",
        dest="apps",
        action="append",
        default=[],
        type=_app,
        metavar="NAME=FOLDER",
        help="serve this folder as an app of this name; may be repeated (--app demo=./worker)",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0: a free one (--port 5001)")
    parser.add_argument(
        "--token",
        metavar="TOKEN",
        help="the token that opens it; a random one if left out, which no list of processes shows (--token secret)",
    )
    parser.add_argument(
        "--state",
        type=lambda text: Path(text).expanduser().absolute(),
        metavar="FOLDER",
        help="keep apps, config, releases and slugs here, for the next start (--state ./heroku-state)",
    )
    parser.add_argument(
        "--one-offs",
        type=_count,
        metavar="N",
        help="most one-off dynos of an app at once, of all sizes; left out: as on Heroku, of each size (--one-offs 8)",
    )
    parser.add_argument(
        "--requests-left",
        type=_count,
        default=CAPACITY,
        metavar="N",
        help="requests of this hour that the account has left at the start; 75 come back a minute (--requests-left 20)",
    )
    parser.add_argument(
        "--time",
        dest="times",
        action="append",
        default=[],
        metavar="NAME=SECONDS",
        help=f"change one of the platform's times, Heroku's own otherwise: {', '.join(TIMES)} (--time grace=5)",
    )
    parser.add_argument(
        "--fault",
        dest="faults",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="make something go wrong; may be repeated (--fault drop-lines=0.1); the faults are listed below",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the same seed gives the same faults (--seed 7)"
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes (sleep 60 | python -m ... --until-stdin-closes)",
    )
    parser.add_argument("--parent", type=_count, metavar="PID", help="end when this process is gone (--parent $$)")
    return parser


def _faults_help() -> str:
    lines = (f"  {name + '=' + kind[0].upper():26} {what}" for name, (kind, what) in FAULTS.items())
    return "\nfaults (A: a probability from 0 to 1, S: seconds):\n" + "\n".join(lines)


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


def _times(settings: list[str]) -> Times:
    try:
        return reduce(changed, settings, Times())
    except ValueError as error:
        raise StartError(f"--time {error}.") from None


def _faults(settings: list[str], seed: int) -> Faults:
    faults = Faults(seed)
    try:
        for setting in settings:
            faults.set(*setting.partition("=")[::2])
    except ValueError as error:
        raise StartError(f"--fault {error}.") from None
    return faults


async def _serve(options: argparse.Namespace) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    emulator = Emulator(
        _distinct(options.apps),
        one_offs=options.one_offs,
        times=_times(options.times),
        faults=_faults(options.faults, options.seed),
        token=options.token,
        state=options.state,
        requests_left=options.requests_left,
    )
    emulator.start(options.port)
    if options.until_stdin_closes:
        life.when_stdin_closes(over.set)
    if options.parent is not None:
        life.when_gone(options.parent, over.set)
    exports = {"HEROKU_HOST": emulator.url, "HEROKU_API_KEY": emulator.token, "HEROKU_PARTICLEBOARD_URL": emulator.url}
    if options.parent is None:
        # Of no use to a kernel, and making the certificate doubles the time of the start.
        exports["NODE_EXTRA_CA_CERTS"] = str(emulator.rendezvous.authority)
    os.write(1, "".join(f"export {name}={value}\n" for name, value in exports.items()).encode())
    await over.wait()
    await emulator.stop()


if __name__ == "__main__":
    sys.exit(main())
