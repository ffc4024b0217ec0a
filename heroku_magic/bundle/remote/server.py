"""Serve calls on an attached dyno, one after the other, each in a process of its own.

The process of this module owns the connection (standard input and output), answers the notebook and runs no code of
the user: that is the job of `calls.py`, in a process that this one starts and hands the calls to.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import selectors
import signal
import sys
import time
from collections import deque

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    Message = dict[str, Any]

SILENCE_SECONDS = 60  # without a message from the notebook, not even a ping: it sleeps or is gone
KILL_SECONDS = 2  # between SIGTERM and SIGKILL for a call that has to end
READ_BYTES = 1 << 18
ACKNOWLEDGE_BYTES = 8_000  # of the notebook that are acknowledged together, at least
MAX_UNFINISHED = 1 << 20  # of a line of records; none of the helper's has more than 4,000 bytes
MEMORY_SHARE = 0.9  # of the dyno's memory, which one call may use
_STREAMS = ("out", "err", "records", "report")  # of a call
_PACKAGES = "joblib|cloudpickle|numpy|scikit_learn"  # whose pickles another version may not read
ANNOUNCE_SECONDS = 0.005  # that the start record of a call waits for what the call writes, to travel with it
_LOOK_SECONDS = 0.2  # between two looks at its memory


def main(idle: float, keeps_state: bool, load: Callable[[str], Any], sources: dict[str, str]) -> NoReturn:
    """Serve until the notebook leaves or is silent, or until no call has come for `idle` seconds.

    keeps_state: all calls run in one process. load: imports one of the modules in `sources`, which the notebook adds
    to.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit(0))

    write = heroku_task._write

    def run_parent(connection: Any, modules: dict[str, str]) -> int:
        heroku_task._write = write
        front.release()
        sources.update(modules)
        return int(load("heroku_calls").Parent(connection, load, modules, keeps_state=keeps_state).serve())

    receiver = load("heroku_receiver").Receiver(heroku_task._sender)
    parents = load("heroku_parents").Parents(run_parent, keeps_state=keeps_state)
    front = _Front(heroku_task._sender, receiver, load("heroku_receiver").ReceivedValues(), idle, parents)
    heroku_task._write = front.enqueue
    try:
        front.serve()
    finally:
        front.end()
        os._exit(0)


class _Call:
    """A call that runs: its pipes, its process and when it has to end."""

    def __init__(self, message: Message, files: list[Any], parent: Any) -> None:
        self.message, self.files, self.parent = message, files, parent
        self.number, self.began_at = message["call"], 0.0
        self.limit = time.monotonic() + message["timeout"]
        self.pid, self.is_kept = 0, False  # kept: its process is the one of the calls before
        self.memory = message["memory"]  # the dyno's, in bytes; 0 if unknown
        self.used, self.look_at = 0, time.monotonic() + _LOOK_SECONDS  # bytes, for which it was ended; the next look
        self.is_overdue = False  # it was ended because of its time limit
        self.kill_at = float("inf")
        self.pipes: dict[str, int] = {}  # by what they carry
        self.decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("out", "err")}
        self.unfinished = b""  # a line of records
        self.report = b""  # its exit status, and what it has imported


class _Front:
    def __init__(self, sender: Any, receiver: Any, values: Any, idle: float, parents: Any) -> None:
        self._sender = sender
        self._outbox: list[bytes] = []  # lines that travel together
        self._receiver, self._values = receiver, values
        self._idle, self._parents = idle, parents
        self._waiting: deque[Message] = deque()
        self._files: dict[int, list[Any]] = {}  # with the values of calls that are still to begin
        self._latest = 0  # the number of the latest call that has arrived with its values
        self._recalled: set[int] = set()  # calls whose values may still be on the way
        self._received = self._acknowledged = 0  # bytes of the notebook
        self._code = ""  # the program of the latest call, which the next one may share
        self._call: _Call | None = None
        self._selector = parents.selector
        self._last_call = time.monotonic()

    def serve(self) -> None:
        """Answer until there is a reason to leave."""
        signal.alarm(SILENCE_SECONDS)
        self._sender.start("serve", None, versions={"Python": sys.version.split()[0], **_versions()})
        self._selector.register(0, selectors.EVENT_READ, "client")
        while self._call is not None or time.monotonic() - self._last_call <= self._idle:
            ready = self._selector.select(self._patience())
            for selected, _ in ready:
                if selected.data == "client":
                    if not self._read_client():
                        return
                elif isinstance(selected.data, str):
                    self._relay(selected.data)
                else:
                    self._read_parent(selected.data)
            self._enforce_limits()
            self._flush(may_wait=bool(ready))

    def enqueue(self, text: str) -> None:
        """Send a line together with the next ones."""
        self._outbox.append(text.encode("ascii") + b"\n")

    def _flush(self, *, may_wait: bool) -> None:
        """Send what is in the outbox, unless it is only the start record of a call."""
        is_begin = len(self._outbox) == 1 and b" begin " in self._outbox[0]
        if not (is_begin and may_wait):
            _write_all(b"".join(self._outbox))
            self._outbox.clear()

    def _patience(self) -> float:
        call = self._call
        deadline = self._last_call + self._idle if call is None else min(call.limit, call.kill_at)
        if call is not None and call.kill_at < float("inf"):
            deadline = call.kill_at
        wait = max(deadline - time.monotonic(), 0) + 0.01
        if self._outbox:
            return ANNOUNCE_SECONDS
        return min(wait, _LOOK_SECONDS) if call is not None and call.memory else wait

    def _read_client(self) -> bool:
        """Read what the notebook has sent; return False once it has left."""
        data = os.read(0, READ_BYTES)
        signal.alarm(SILENCE_SECONDS)  # strikes even while a write waits for the notebook
        for kind, message, body in self._receiver.feed(data):
            if kind == "call":
                self._take_call(message)
            elif kind == "data" and message.get("call") not in self._recalled:
                self._values.add(message.get("value") or message["call"], body)
                self._last_call = time.monotonic()  # the call of these values is on the way
            elif kind == "drop":
                self._values.drop(message["values"])
            elif kind in ("stop", "recall"):
                self._stop(message["call"], may_run=kind == "stop")
            elif kind == "modules":
                self._parents.prepare(message)
            elif kind == "ping":
                self._sender.send("pong", {**message, "memory": _memory_of(os.getpid(), counts_once=True)})
        self._acknowledge(len(data))
        self._start_next()
        return bool(data)

    def _acknowledge(self, size: int) -> None:
        """Return the notebook its credits for what was read, before it has used up even the smallest window."""
        self._received += size
        if self._received - self._acknowledged >= ACKNOWLEDGE_BYTES:
            self._acknowledged = self._received
            self._sender.send("ack", {"bytes": self._received})

    def release(self) -> None:
        """Let go, in a process that was forked, of the values that have arrived."""
        del self._values, self._files

    def end(self) -> None:
        """End the call that runs, and the parents."""
        self.kill_call()
        self._parents.end()

    def _start_next(self) -> None:
        if self._call is not None or not self._waiting:
            return
        message = self._waiting.popleft()
        parent = self._parents.for_task(message["task"])  # which may be forked here, and lets go of values
        self._call = call = _Call(message, self._files.pop(message["call"]), parent)
        ends = []
        for name in _STREAMS:
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self._selector.register(reader, selectors.EVENT_READ, name)
            call.pipes[name] = reader
            ends.append(writer)
        call.parent.tell(message, [*ends, *(file.descriptor for file in call.files)])
        for end in ends:
            os.close(end)

    def _read_parent(self, parent: Any) -> None:
        data = parent.read()
        call = self._call if self._call is not None and self._call.parent is parent else None
        for line in (data or b"").decode().split():
            name, _, value = line.partition("=")
            if call is not None and name == "ended":
                number, _, status = value.partition(":")
                if call.number == int(number):  # it has not reported
                    self._finish(call, _exit_status(int(status)))
            elif call is not None:
                self._begin(call, int(value), is_kept=name == "kept")
        if data == b"":
            self._lose_parent(parent)

    def _begin(self, call: _Call, pid: int, *, is_kept: bool) -> None:
        call.pid, call.is_kept, call.began_at = pid, is_kept, time.monotonic()
        call.parent.has_run = True
        self._sender.send("begin", {"call": call.number})
        if call.kill_at < float("inf"):  # it was stopped before it began
            self.kill_call(signal.SIGTERM)

    def _lose_parent(self, parent: Any) -> None:
        """Forget a parent that has ended, and with it the call that it ran or prepared.

        If the call before has killed it, the call has not begun: another parent gets it.
        """
        if parent.is_forgotten:
            return
        status, call = _exit_status(self._parents.forget(parent)), self._call
        if call is None or call.parent is not parent:
            return
        if parent.has_run and not call.pid and call.kill_at == float("inf"):
            self._begin_anew(call)
        else:
            self._finish(call, status)

    def _begin_anew(self, call: _Call) -> None:
        for name in [*call.pipes]:
            self._close_pipe(call, name)
        self._waiting.appendleft(call.message)
        self._files[call.number] = call.files
        self._call = None
        self._start_next()

    def _finish(self, call: _Call, status: int, imported: Sequence[str] = ()) -> None:
        """Send what is left of a call, and its exit status; let the parent get ready for the next one."""
        for name in [*call.pipes]:
            while name != "report" and self._relay(name):
                continue
            self._close_pipe(call, name)
        if call.unfinished:
            self._outbox.append(call.unfinished + b"\n")
        has_to_end = not call.is_kept or call.kill_at < float("inf")
        if has_to_end:
            self.kill_call()  # and the programs that it has left behind
        self._call, self._last_call = None, time.monotonic()
        call.files.clear()
        seconds = self._last_call - call.began_at if call.began_at else 0.0
        facts = {"status": status, "used": call.used, "overdue": call.is_overdue, "seconds": seconds}
        self._sender.send("done", {"call": call.number, **facts})
        self._flush(may_wait=False)
        if has_to_end and call.is_kept:
            self._lose_parent(call.parent)
        else:
            call.parent.tell({"imported": imported}, [])
        self._start_next()

    def _relay(self, name: str) -> bool:
        """Pass on what a call has written; return whether there may be more."""
        call = self._call
        if call is None or name not in call.pipes:
            return False
        try:
            data = os.read(call.pipes[name], READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close_pipe(call, name)
            return False
        if name == "records":
            self._pass_on(call, data)
        elif name == "report":
            self._read_report(call, data)
        elif text := call.decoders[name].decode(data):
            self._sender.send("text", {"stream": name, "text": text})
        return True

    def _read_report(self, call: _Call, data: bytes) -> None:
        """End a call that has reported its exit status; its process need not have ended."""
        call.report += data
        if call.report.endswith(b"\n"):
            if not call.pid:
                self._read_parent(call.parent)
            status, *names = call.report.decode().split()
            self._finish(call, int(status), names)

    def _close_pipe(self, call: _Call, name: str) -> None:
        if (pipe := call.pipes.pop(name, None)) is not None:
            self._selector.unregister(pipe)
            os.close(pipe)

    def _pass_on(self, call: _Call, data: bytes) -> None:
        """Send whole lines of records as they are, because the call has signed them."""
        whole, newline, call.unfinished = (call.unfinished + data).rpartition(b"\n")
        if newline:
            self._outbox.append(whole + newline)
        if len(call.unfinished) > MAX_UNFINISHED:  # not the helper's
            call.unfinished = b""

    def _take_call(self, message: Message) -> None:
        """Queue a call, with the program of the call before if it is the same, unless it was stopped on the way."""
        if message.pop("same_code", False):
            message["env"]["RUN_CODE"] = self._code
        self._code = message["env"].get("RUN_CODE", self._code)
        if message["call"] in self._recalled:
            return
        self._latest = message["call"]
        self._files[self._latest] = self._values.take(self._latest, message.get("shared", []))
        self._waiting.append(message)

    def _stop(self, number: int, *, may_run: bool) -> None:
        """End a call: one that runs only if it may be, any other before it begins."""
        if may_run and self._call is not None and self._call.number == number:
            self._end_call(self._call)
        waiting = [one for one in self._waiting if one["call"] == number]
        if number > self._latest:  # its values are still on the way
            waiting = [{"call": number}]
            self._recalled.add(number)
            self._values.drop([number])
        for message in waiting:
            if message in self._waiting:
                self._waiting.remove(message)
                del self._files[number]
            self._sender.send("done", {"call": number, "status": 128 + signal.SIGTERM})

    def _enforce_limits(self) -> None:
        call, now = self._call, time.monotonic()
        if call is None:
            return
        if now >= call.kill_at:
            if not call.pid:  # what the call imports does not end
                call.parent.kill()
            self.kill_call()
        elif call.kill_at == float("inf") and now >= call.limit:
            call.is_overdue = True
            self._end_call(call)
        elif call.memory and now >= call.look_at:
            call.look_at = now + _LOOK_SECONDS
            most, front = MEMORY_SHARE * call.memory, os.getpid()
            if _memory_of(call.pid) >= most and (used := _memory_of(front, counts_once=True)) >= most:
                call.used = used
                self.kill_call()

    def _end_call(self, call: _Call) -> None:
        """Let a call clean up, but not for long."""
        self.kill_call(signal.SIGTERM)
        call.kill_at = min(call.kill_at, time.monotonic() + KILL_SECONDS)

    def kill_call(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the processes of the call."""
        if self._call is not None and self._call.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._call.pid, number)


def _versions() -> dict[str, str]:
    """Return the versions of packages by the names of their metadata, which takes less time than to import any."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if match := re.match(rf"({_PACKAGES})-([^-]+)(-py.*)?\.(dist|egg)-info", name):
                found.setdefault(match[1].replace("_", "-"), match[2])
    return found


def _memory_of(pid: int, *, counts_once: bool = False) -> int:
    """Return the bytes that a process and its children have in memory; 0 where the system does not say.

    counts_once: what processes share counts once, not for each of them, which takes longer.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as sizes, open(f"/proc/{pid}/task/{pid}/children", "rb") as children:
            own = int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            own = (counts_once and _share_of(pid)) or own
            return own + sum(_memory_of(int(child), counts_once=counts_once) for child in children.read().split())
    except OSError:
        return 0


def _share_of(pid: int) -> int:
    """Return the bytes of a process, and its part of those that it shares; 0 where the system does not say."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as sizes:
        return 1024 * sum(map(int, re.findall(rb"(?m)^Pss: +(\d+)", sizes.read())))
    return 0


def _exit_status(status: int) -> int:
    """Return the exit status that a shell would report for a status of wait(2)."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
