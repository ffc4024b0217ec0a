"""One dyno that stays attached and takes one call after the other.

The connection is its lease: when it ends, so does the dyno.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from heroku_magic.bundle.shipped import server_modules
from heroku_magic.errors import ApiError, AttachFailed, InstallFailed, LogStreamError, NotFound, Unreachable
from heroku_magic.platform_facts.dyno_sizes import memory_bytes, money
from heroku_magic.protocol.records import RunKey
from heroku_magic.protocol.result_limit import limit_in_mb
from heroku_magic.runs import registry
from heroku_magic.runs.background import start_thread
from heroku_magic.runs.command_mark import marked
from heroku_magic.runs.dyno_guard import DynoGuard
from heroku_magic.runs.failures import installer_message
from heroku_magic.runs.spec import OF_EACH_DYNO
from heroku_magic.text.notifier import notify
from heroku_magic.text.plural import quantity
from heroku_magic.text.secret import Secret
from heroku_magic.warm import restart_note
from heroku_magic.warm.downlink import Downlink
from heroku_magic.warm.rendezvous import connect
from heroku_magic.warm.send_window import FlowControl
from heroku_magic.warm.uplink import Uplink
from heroku_magic.warm.warm_call import WarmCall

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from heroku_magic.api.client import HerokuClient
    from heroku_magic.api.log_stream import Sink
    from heroku_magic.api.resources import Dyno
    from heroku_magic.protocol.spool import Spool
    from heroku_magic.runs.spec import RunSpec
    from heroku_magic.warm.rendezvous import DynoConnection

PING_INTERVAL = 15.0  # seconds, well below SILENCE_SECONDS of `bundle/remote/server.py`
SILENCE = 60.0  # seconds without a message from the dyno after which its connection counts as broken
HELLO_TIMEOUT, INSTALL_TIMEOUT = 30.0, 600.0  # seconds to the first record, without and with packages
NO_ANSWER = "The dyno does not answer calls. Does the app have Python 3.9 or later? See `%heroku logs`."


class WarmDyno:
    """An attached dyno, from `boot()` to the end of its connection; safe to use from several threads.

    spec: of the dyno itself; its timeout is the dyno's longest life. idle: seconds without a call after which it ends.
    on_change: called after each change of the state. owner: the pool that it was booted for, if any. downlink: what
    has arrived from it.
    """

    def __init__(
        self,
        client: HerokuClient,
        spec: RunSpec,
        context: ssl.SSLContext,
        *,
        idle: float,
        on_change: Callable[[], None],
        owner: object = None,
        flow: FlowControl | None = None,
    ) -> None:
        self.spec, self.owner = spec, owner
        self.key = RunKey.new()
        self.id, self.app, self.is_detached = self.key.run, spec.app_name, False
        self.calls, self.is_busy = 0, False
        self.dyno: str | None = None
        self.started_at = self.used_at = self._heard_at = time.monotonic()
        self._client, self._context, self._idle, self._on_change = client, context, idle, on_change
        self._guard = DynoGuard(client, spec, self.key.run, notify)
        self._uplink = Uplink(self.key, flow or FlowControl())
        self.downlink = Downlink(self.key, self._uplink.window.acknowledge, self.release)
        self._calling = threading.RLock()  # held for a call with its values
        self.latest_seconds: deque[float] = deque(maxlen=4)  # of the latest calls of pools
        self._code = ""  # the program of the latest call
        self._connection: DynoConnection | None = None
        self._info: Dyno | None = None
        self._ended = threading.Event()
        self._ended_at: float | None = None

    # -- the dyno ---------------------------------------------------------------------------------

    def boot(self) -> WarmDyno:
        """Create the dyno and connect to it. Raises ApiError or AttachFailed; then no dyno is left."""
        registry.add(self)
        try:
            self._create()
        except BaseException:
            self._end()
            start_thread(self._watch, f"heroku-watch-{self.id}", lambda _: None)
            raise
        restart_note.add(self.info.name)
        return self

    def _watch(self) -> None:
        """Look for what a failed boot has left behind, which may take minutes."""
        with self._guard.watched():
            return

    def _create(self) -> None:
        spec, env = self.spec, {**self.spec.env, "RUN_KEY": Secret(self.key.env())}
        self._guard.create_sent()
        try:
            self._info, url = self._client.attach_dyno(
                spec.app, marked(spec.command, self.key.run), env, size=spec.size, time_to_live=spec.timeout
            )
        except Unreachable as error:
            if error.sent:
                self._guard.response_lost()
                self._guard.check_for_extras()
            raise
        self._guard.use(self._info)
        self.dyno = self._info.name
        try:
            if self._ended.is_set():
                raise AttachFailed(f"{self.dyno} was stopped before it had booted.")  # noqa: TRY301 - stopped below
            self._connect(url)
        except BaseException as error:
            message = self._guard.stop_and_wait()
            if isinstance(error, AttachFailed | InstallFailed):
                error.args = (f"{error} {message}",)
            raise

    def _connect(self, url: Secret) -> None:
        self._connection, rest = connect(url, self._context, self._is_up)
        self._uplink.open(self._connection, memory_bytes(self.info.size))
        self.downlink.open(self.spec.task, self.info)
        self._uplink.send("modules", server_modules())
        start_thread(lambda: self._read(rest), f"heroku-{self.id}", lambda _: self._close())
        has_answered = self.downlink.hello.wait(INSTALL_TIMEOUT if self.spec.packages else HELLO_TIMEOUT)
        if not has_answered or self._ended.is_set():
            message = installer_message([line.message for line in self.downlink.early_lines])
            raise InstallFailed(f"{message}\n") if message else AttachFailed(NO_ANSWER)
        self._uplink.send("ping", {"at": time.monotonic()})
        start_thread(self._ping, f"heroku-ping-{self.id}", lambda _: self._end())

    def _is_up(self) -> bool:
        """Return whether the API says that the dyno has booted."""
        try:
            return self._client.dyno(self.spec.app, self.info.name).state != "starting"
        except NotFound:
            return True  # it has ended, or is not visible yet
        except ApiError:
            return False

    @property
    def info(self) -> Dyno:
        """What the API said about the dyno."""
        if self._info is None:
            raise AttachFailed("The dyno has not been created.")
        return self._info

    @property
    def host(self) -> str:
        """The base URL of the API."""
        return self._client.base_url

    @property
    def is_idle(self) -> bool:
        """Whether it waits for calls."""
        return not self.is_busy

    @property
    def state(self) -> str:
        """`busy`, or `idle` with the time until it ends by itself; and whether calls share Python's state."""
        left = max(int(min(self.idle_left, self.seconds_left)), 0)
        state = "busy" if self.is_busy else f"idle {left // 60}:{left % 60:02}"
        return f"{state}, keeps state" if self.spec.keeps_state else state

    @property
    def summary(self) -> str:
        """Its state, its calls and what it has cost, as text."""
        cost = f", {money(self.dollars)} so far" if self.dollars else ""
        return f"{self.state}, {quantity(self.calls, 'call')}{cost}"

    @property
    def idle_left(self) -> float:
        """The seconds after which it ends by itself if no call comes."""
        return self._idle - (self._latest_moment() - self.used_at)

    @property
    def seconds(self) -> float:
        """How long the dyno has existed."""
        return round(self._latest_moment() - self.started_at, 1)

    def _latest_moment(self) -> float:
        """Return when it ended, or now."""
        return time.monotonic() if self._ended_at is None else self._ended_at

    @property
    def memory(self) -> int:
        """The bytes of all its processes at the last ping; 0 if unknown."""
        return self.downlink.memory

    @property
    def dollars(self) -> float | None:
        """What it has cost at list price; None if unknown."""
        return self.spec.price(self.info.size, self.seconds)

    @property
    def seconds_left(self) -> float:
        """How long the dyno may still exist."""
        return self.spec.timeout - self.seconds

    def running(self) -> bool:
        """Return whether calls can be sent."""
        return not self._ended.is_set()

    def cancel(self) -> bool:
        """End the dyno: close the connection, and ask for its stop. Return False if it has ended."""
        if self._ended.is_set():
            return False
        self._end()
        self._stop()
        return True

    def _stop(self) -> None:
        """Ask for the dyno's end, which that of its connection should bring anyway; again until it is gone."""
        try:
            self._guard.stop_own()
        except ApiError:
            start_thread(self._guard.stop_and_wait, f"heroku-stop-{self.id}", lambda _: None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the connection has ended."""
        return self._ended.wait(timeout)

    def wait_for_dyno(self, timeout: float | None = None) -> bool:
        """Wait until the dyno is there or has ended."""
        return self.downlink.hello.wait(timeout)

    def outcome_message(self) -> str:
        """Return a sentence about what became of it."""
        if self.dyno is None:
            return "A warm dyno was stopped before it had booted."
        return f"The warm dyno {self.dyno} was stopped after {quantity(self.calls, 'call')}."

    # -- calls ------------------------------------------------------------------------------------

    def call(
        self,
        spec: RunSpec,
        key: RunKey,
        sink: Sink,
        on_done: Callable[[int | None], None] | None = None,
        on_sent: Callable[[int, int], bool] = lambda _sent, _size: True,
    ) -> WarmCall:
        """Send a call, which runs after those sent before.

        sink: gets its lines as if they came from the dyno's log. on_done: called after the last line, with the exit
        status, or None if no process had the call; the sink then gets no lines of the platform, and the dyno is not
        given back. on_sent: gets how many bytes of the call's values were sent, and of how many; False cancels it.
        """
        call = WarmCall(self.stop_call, key.run, sink, on_done)
        env = {name: one.reveal() if isinstance(one, Secret) else one for name, one in spec.env.items()}
        env = {name: text for name, text in env.items() if name not in OF_EACH_DYNO} | {"RUN_KEY": key.env()}
        limits = {"timeout": spec.timeout, "memory": memory_bytes(self.info.size), "most": limit_in_mb() * 1_000_000}
        places = {} if spec.values is None else spec.values.values
        message = {"task": spec.module, "env": env, "values": places, **limits}
        try:
            self._send_call(call, message, spec.values, on_sent)
        except OSError as error:
            self.downlink.calls.pop(call.number, None)
            self._end()
            reason = f"is broken ({error})" if isinstance(error, TimeoutError) else "is broken"
            raise LogStreamError(f"The connection to {self.dyno} {reason}, so {spec.task} was not run.") from None
        return call

    def _send_call(
        self, call: WarmCall, message: dict[str, Any], values: Spool | None, on_sent: Callable[[int, int], bool]
    ) -> None:
        """Number and send a call, without a program that the dyno has already."""
        with self._calling:
            self.calls += 1
            call.number = message["call"] = self.calls
            self.downlink.calls[call.number] = call
            if values is not None:
                if not self._uplink.send_values(call.number, values, on_sent):
                    self._uplink.send("stop", {"call": call.number})
                    return
                message.update(checksum=self._uplink.checksum, shared=values.shared)
            code = message["env"].get("RUN_CODE")
            if code is not None and code == self._code:
                del message["env"]["RUN_CODE"]
                message["same_code"] = True
            self._code = code or self._code
            self._uplink.send("call", message)

    def stop_call(self, number: int, *, if_waiting: bool = False) -> None:
        """Request the end of a call, or only that it does not begin."""
        with suppress(OSError):
            self._uplink.send("recall" if if_waiting else "stop", {"call": number})

    def note_call(self, seconds: float) -> None:
        """Take note of how long a call of a pool took, which has just ended; from now on the dyno is idle."""
        self.latest_seconds.append(seconds)
        self.used_at = time.monotonic()

    def release(self) -> None:
        """Let the next call have the dyno."""
        self.is_busy, self.used_at = False, time.monotonic()
        self._on_change()

    # -- the connection ---------------------------------------------------------------------------

    def _ping(self) -> None:
        try:
            while not self._ended.wait(PING_INTERVAL) and time.monotonic() - self._heard_at < SILENCE:
                self._uplink.send("ping", {"at": time.monotonic()})
        except OSError:
            pass  # the connection is broken
        self._end()

    def _read(self, buffer: bytes) -> None:
        connection = self._connection
        try:
            while connection is not None:
                *lines, buffer = buffer.split(b"\n")
                self.downlink.take(lines)
                data = connection.receive()
                if not data:
                    break
                buffer += data
                self._heard_at = time.monotonic()
        except (OSError, ValueError):  # the connection is broken, or what it carries
            return
        finally:
            self._end()
            self._close()

    def _close(self) -> None:
        """Close the connection; only the thread that reads it may do so."""
        self._uplink.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _end(self) -> None:
        """End the connection, and tell the call that runs."""
        if self._ended.is_set():
            return
        self._ended_at = time.monotonic()
        self._ended.set()
        self.downlink.hello.set()
        self._uplink.window.close()
        if (connection := self._connection) is not None:
            connection.end()
        calls = [*self.downlink.calls.values()]
        if calls:  # the dyno may not know that the connection is broken
            start_thread(self._stop, f"heroku-stop-{self.id}", lambda _: None)
        for call in calls:
            call.sink(LogStreamError(f"The connection to {self.dyno} broke during the call, which may have run."))
        registry.discard(self.id)
        if self.dyno is not None and not registry.is_ending():
            restart_note.discard(self.dyno)
        self._on_change()
