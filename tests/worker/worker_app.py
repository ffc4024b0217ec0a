"""An app folder with the helper, run as on a dyno: in a separate process with a clean environment."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zlib
from functools import cached_property
from pathlib import Path

import pytest
from dynos import find_python

from heroku_magic.protocol.dataframe import frame
from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import Failure, RunKey

WORKER = Path(__file__).resolve().parents[2] / "worker"
SECRET = bytes(range(32))
RUN_KEY = f"hm-0123abcd:{SECRET.hex()}"
RECORD = re.compile(r"@hm1 ([0-9a-f]{8}) (\d+) ([a-z]+\+?) ([0-9a-f]{24}) (.*)")


def read_records(text):
    """Return the records of an output as (kind, data), after checking length, MAC, number and nonce of each line.

    Data followed by bytes is a pair. The checksum of the end record is checked and removed.
    """
    # Text without a newline may precede a record on its line.
    matches = [RECORD.fullmatch(line, line.index("@hm1")) for line in text.splitlines() if "@hm1" in line]
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


def load_helper():
    """Load the helper as a new module of this process, to test its pure functions."""
    spec = importlib.util.spec_from_file_location("heroku_task", WORKER / "heroku_task.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_of(version):
    """Return the interpreter of a Python version; skip the test if it is not installed."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    return find_python(version) or pytest.skip(f"there is no Python {version} here")


class Result:
    """The output of a task, read twice: by this file's own reader, and by the notebook's decoder."""

    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr
        self.records = read_records(stdout)
        self.log = [line.partition("@hm1")[0] for line in stdout.splitlines() if not line.startswith("@hm1")]

    @cached_property
    def decoder(self):
        return self._decoded[0]

    @cached_property
    def decoded_log(self):
        return [text for text, _ in self._decoded[1] if text is not None]

    @cached_property
    def _decoded(self):
        decoder = RecordDecoder(RunKey("hm-0123abcd", SECRET))
        return decoder, [decoder.feed(line) for line in self.stdout.splitlines()]

    def decoded(self, kind):
        """Return the decoder's records of a class."""
        return [record for _, records in self._decoded[1] for record in records if isinstance(record, kind)]

    @property
    def decoded_rows(self):
        """Return the rows of the notebook's DataFrame; None if there is no table."""
        return None if self.decoder.parts is None else frame(self.decoder.parts, {}).to_dict("records")

    @property
    def decoded_end(self):
        """Return the exit status and the row count of the end record, after checking that all records are here."""
        assert self.decoder.is_verified, self.decoder.problem()
        return self.decoder.end.status, self.decoder.end.rows

    def of(self, kind):
        return [data for name, data in self.records if name == kind]

    @property
    def decoded_failure(self):
        (failure,) = self.decoded(Failure)
        return failure

    @property
    def rows(self):
        """Return all rows; None if there is no table."""
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
    """A folder with the helper in it."""

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
            start_new_session=True,  # as on a dyno, whose processes receive its signals together
        )
