"""A dyno without a platform: the one command with its environment, and the records that come of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from heroku_magic.bundle.shipped import COMMAND
from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import RunKey
from heroku_magic.text.redact import NO_MASK
from heroku_magic.text.secret import Secret


class Dyno:
    """What a process with such an environment did: `decoder`, the other lines of its log, its exit status."""

    def __init__(self, env, folder, python=sys.executable, *, allow_pickle=False, mask=NO_MASK):
        key = RunKey.new()
        given = {name: value.reveal() if isinstance(value, Secret) else value for name, value in env.items()}
        words = shlex.split(COMMAND)
        done = subprocess.run(
            [python, *words[1:]],
            env={"PATH": os.environ["PATH"], **given, "RUN_KEY": key.env()},
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        self.decoder, self.log, self.status = RecordDecoder(key, mask, allow_pickle=allow_pickle), [], done.returncode
        for line in done.stdout.splitlines():
            text, _ = self.decoder.feed(line)
            self.log += [] if text is None else [text]
        self.errors = done.stderr

    @property
    def rows(self):
        return None if self.decoder.parts is None else frame(self.decoder.parts, {}).to_dict("records")

    @property
    def failure(self):
        return self.decoder.failure


PYENV = Path.home() / ".pyenv" / "versions"
OTHERS = [f"3.{minor}" for minor in range(9, 15)]  # Pythons that a dyno may have


def find_python(version):
    """Return the path of an installed Python of this version, or None. pyenv's are not on the PATH."""
    ours = sorted(PYENV.glob(f"{version}.*/bin/python{version}"))
    for path in filter(None, [shutil.which(f"python{version}"), *ours]):
        if subprocess.run([path, "-c", ""], env={}, capture_output=True, check=False).returncode == 0:
            return str(path)
    return None
