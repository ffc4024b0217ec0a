"""An app's folder with the helper in it, run as a dyno runs it: a real process, a clean environment."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

WORKER = Path(__file__).resolve().parents[2] / "worker"
SECRET = bytes(range(32))
RUN_KEY = f"hm-0123abcd:{SECRET.hex()}"
RECORD = re.compile(r"@hm1 ([0-9a-f]{8}) (\d+) ([a-z]+\+?) ([0-9a-f]{24}) (.*)")


def read_records(text):
    """The records of an output, as (kind, data), each checked: length, MAC, number, one nonce, parts joined.

    Data with bytes behind it is a pair; the end mark's checksum is checked and left out.
    """
    matches = [RECORD.fullmatch(line) for line in text.splitlines() if line.startswith("@hm1")]
    assert len({match[1] for match in matches}) <= 1
    parts, records, macs = "", [], hashlib.sha256()
    for expected, match in enumerate(matches):
        nonce, number, kind, mac, payload = match.groups()
        signed = f"hm-0123abcd {nonce} {number} {kind} {payload}".encode("ascii")
        assert len(match[0]) + 1 <= 4000
        assert int(number) == expected
        assert mac == hmac.new(SECRET, signed, "sha256").hexdigest()[:24]
        parts += payload
        if not kind.endswith("+"):
            data = unpacked(parts)
            if kind == "end":
                assert data.pop("checksum") == macs.hexdigest()[:24]
            records.append((kind, data))
            parts = ""
        macs.update(mac.encode())
    return records


def unpacked(payload):
    if payload[0] in "[{":
        return json.loads(payload)
    head, _, body = zlib.decompress(base64.b64decode(payload)).partition(b"\n")
    return (json.loads(head), body) if body else json.loads(head)


class Result:
    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr
        self.records = read_records(stdout)
        self.log = [line for line in stdout.splitlines() if not line.startswith("@hm1")]

    def of(self, kind):
        return [data for name, data in self.records if name == kind]

    @property
    def rows(self):
        """All rows; None if no table was ever mentioned."""
        return [row for rows in self.of("rows") for row in rows] if self.of("rows") else None

    @property
    def failure(self):
        (failure,) = self.of("failure")
        return failure

    @property
    def end(self):
        assert self.records[-1][0] == "end"
        return self.records[-1][1]


class App:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        shutil.copy(WORKER / "heroku_task.py", folder)

    def write(self, name, source):
        (self.folder / name).write_text(textwrap.dedent(source), encoding="utf-8")
        return self

    def task(self, source, name="job"):
        return self.write(f"{name}.py", textwrap.dedent(source))

    def command(self, *words, python=sys.executable):
        return [python, "-m", "heroku_task", *words]

    def env(self, *, keyed=True, **parameters):
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
        key = {"RUN_KEY": RUN_KEY} if keyed else {}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **key, **parameters}

    def run(self, *words, keyed=True, python=sys.executable, **parameters):
        done = subprocess.run(
            self.command(*(words or ("job",)), python=python),
            cwd=self.folder,
            env=self.env(keyed=keyed, **parameters),
            capture_output=True,
            timeout=30,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *words, keyed=True, **parameters):
        return subprocess.Popen(
            self.command(*(words or ("job",))),
            cwd=self.folder,
            env=self.env(keyed=keyed, **parameters),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
