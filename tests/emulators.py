"""The real emulator as a process with a real socket, and a client independent of heroku_magic."""

from __future__ import annotations

import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

ROOT = Path(__file__).resolve().parents[1]
ACCEPT = "application/vnd.heroku+json; version=3"
OVER = b"to complete"


def platform_schema():
    """Heroku's published schema (https://api.heroku.com/schema), with our addresses instead of Heroku's.

    It is reduced to what is used here: of every link its title, method and path; of the links in LINKS also the types
    of bodies and responses with all they refer to. Descriptions, examples, defaults and titles of properties are left
    out.
    """
    schema = json.loads((Path(__file__).parent / "emulator" / "platform_schema.json").read_text())
    properties = schema["definitions"]["app"]["definitions"]
    properties["web_url"]["pattern"] = r"^http://[a-z][a-z0-9-]{1,28}[a-z0-9]\.localhost:[0-9]+/$"
    properties["git_url"]["pattern"] = r"^https://127\.0\.0\.1:[0-9]+/[a-z][a-z0-9-]{1,28}[a-z0-9]\.git$"
    del schema["definitions"]["domain"]["definitions"]["hostname"]["format"]  # it says that a host name is a URI
    return schema


class Emulator:
    """A running emulator with one app, `demo`."""

    def __init__(self, folder, *options, environ=None, wait=True, certificate=False):
        command = [sys.executable, "-m", "heroku_magic.emulator", "--app", f"demo={folder}", "--until-stdin-closes"]
        if not certificate and "--parent" not in options:
            # A fifth of the start is the certificate, which a start for a parent process leaves out.
            command += ["--parent", str(os.getpid())]
        self.folder = folder
        self.process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
        if wait:
            self.wait()

    def wait(self):
        output = os.read(self.process.stdout.fileno(), 65_536)  # all lines are written at once
        lines = map(shlex.split, output.decode().splitlines())
        exports = self.exports = dict(words[1].split("=", 1) for words in lines if words[:1] == ["export"])
        assert exports, self.process.stderr.read().decode()
        self.url, self.token = exports["HEROKU_HOST"], exports["HEROKU_API_KEY"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers.update({"Accept": ACCEPT, "Authorization": f"Bearer {self.token}"})

    def ask(self, method, path, status=200, **more):
        answer = self.http.request(method, self.url + path, timeout=20, **more)
        assert answer.status_code == status, answer.text
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more).json()

    def create(self, command, **more):
        return self.ask("POST", "/apps/demo/dynos", 201, json={"command": command, **more}).json()

    def refused(self, status=422, **body):
        return self.ask("POST", "/apps/demo/dynos", status, json=body).json()

    def stop(self, dyno):
        self.ask("POST", f"/apps/demo/dynos/{dyno['name']}/actions/stop", 202)

    def session(self, **body):
        return self.ask("POST", "/apps/demo/log-sessions", 201, json=body).json()["logplex_url"]

    def open(self, url, **headers):
        return Log(requests.get(url, headers=headers, stream=True, timeout=20))

    def backlog(self, **body):
        """The lines of a session that does not tail."""
        with self.open(self.session(**body)) as answer:
            return list(answer.lines)

    def tail(self, dyno, **more):
        return self.open(self.session(dyno=dyno["name"], lines=1500, tail=True, **more))

    def log(self, dyno, **more):
        """All lines of a dyno until its end."""
        with self.tail(dyno, **more) as log:
            return log.until(OVER)

    def run(self, command, **more):
        return self.log(self.create(command, **more))

    def output(self, command, **more):
        """What a command prints."""
        lines = self.run(command, **more)
        return [line.partition(b"]: ")[2] for line in lines if b" app[" in line]

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            finally:
                self.process.kill()
        complaints = self.process.stderr.read().decode()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        if hasattr(self, "http"):
            self.http.close()
        return complaints


class Log:
    """A log stream that is read in steps."""

    def __init__(self, answer):
        self.answer = answer
        self.headers = answer.headers
        self.lines = self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()

    def _read(self):
        rest = b""
        for chunk in self.answer.iter_content(None):
            *lines, rest = (rest + chunk.replace(b"\0", b"")).split(b"\n")
            yield from lines

    def until(self, last):
        """The lines up to the one with these bytes in it."""
        lines = []
        for line in self.lines:
            lines.append(line)
            if last in line:
                break
        return lines


class AttachClient:
    """A connection to the dyno's rendezvous."""

    def __init__(self, emulator, url, *, secret=None, end=b"\r\n"):
        parts = urlsplit(url)
        context = ssl.create_default_context(cafile=emulator.exports["NODE_EXTRA_CA_CERTS"])
        plain = socket.create_connection((parts.hostname, parts.port), timeout=20)
        self.socket = context.wrap_socket(plain, server_hostname=parts.hostname)
        self.socket.sendall((secret or parts.path[1:]).encode() + end)

    def greeting(self):
        """One TLS record."""
        return self.socket.recv(65536)

    def send(self, data):
        self.socket.sendall(data)

    def read(self, size):
        """Bytes until there are as many as that."""
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            assert chunk, data
            data += chunk
        return data

    def rest(self):
        pieces = []
        try:
            while chunk := self.socket.recv(65536):
                pieces.append(chunk)
        except (ssl.SSLError, ConnectionError):
            pass
        return b"".join(pieces)

    def is_quiet(self, seconds):
        """Whether nothing arrives, not even an end."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)

    def records(self):
        while chunk := self.socket.recv(65536):
            yield chunk

    def close(self):
        self.socket.close()


def is_running(pid):
    """Whether a process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=10):
    """Poll until a condition holds: processes that are not our children end without notice."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.01)
