"""launcher: which runs are started, put back and told to whom; and what a process that ends leaves of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections import deque

import pytest
from workers import make_worker

from heroku_magic import connect
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import LogStreamError, RateLimited, Refused, TaskFailed
from heroku_magic.runs.spec import RunSpec
from heroku_magic.sweeps import launcher
from heroku_magic.sweeps.launcher import Job, Launcher
from heroku_magic.text.notifier import notifications_to

ORDER = RunSpec("shop", "shop", "step", "step", {})


class Made:
    """A run that ends as soon as it is started, as the test says next."""

    endings: deque[tuple[str | None, Exception | None]]

    def __init__(self, client, order, detached=None, *, log, on_exit):
        self.dyno, self.error = self.endings.popleft() if self.endings else ("run.1", None)
        self.size = "basic"
        self.has_exited = False

    def start(self):
        return self

    def add_done_callback(self, callback):
        callback(self)

    def exception(self):
        return self.error


class Log:
    is_broken = False

    def __init__(self, *_):
        pass

    def start(self):
        return self

    def close(self):
        pass


class Notes:
    """A desk that takes notes of what it is told."""

    def __init__(self, *jobs):
        self.jobs = deque(jobs)
        self.running, self.told = [], []
        self.is_over = threading.Event()
        self.is_stopping = False

    def most_at_once(self, size):
        return 1

    def take(self):
        return self.jobs.popleft() if self.jobs and not self.is_stopping else None

    def left(self):
        return len(self.jobs)

    def is_finished(self):
        return self.is_stopping or not self.jobs

    def began(self, job):
        self.running.append(job)

    def put_back(self, job):
        self.running.remove(job)
        self.told.append("put back")
        self.jobs.append(job)

    def ended(self, job):
        self.running.remove(job)
        self.told.append("ended")

    def look(self):
        pass

    def stop(self, reason):
        self.is_stopping = True
        self.told.append(reason)

    def over(self):
        self.is_over.set()


class Client:
    requests_left = 4500


@pytest.fixture
def launched(monkeypatch):
    """Lets a launcher make jobs whose runs end so, and gives what its desk was told, and what the user was."""
    monkeypatch.setattr(launcher, "Run", Made)
    monkeypatch.setattr(launcher, "SharedLog", Log)
    monkeypatch.setattr(launcher, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr("heroku_magic.sweeps.throttle.SHORTEST_WAIT", 0.01)

    def launched(jobs, *endings):
        Made.endings = deque(endings)
        desk, said = Notes(*jobs), []
        with notifications_to(said.append):
            Launcher(Client(), desk).start("launcher")
        assert desk.is_over.wait(20)
        return desk.told, said

    return launched


def test_what_was_refused_for_want_of_quota_or_room_is_put_back(launched):
    full = Refused("You have reached your one-off limit.", id="cannot_run_above_limit")
    told, said = launched([Job(ORDER)], (None, RateLimited("busy")), (None, full), ("run.1", None))
    assert told == ["put back", "put back", "ended"]
    assert "requests of this hour are used up" in said[0]
    assert said[1] == "You have reached your one-off limit. On with 1 at once."


def test_a_dyno_that_was_there_is_a_try_though_the_quota_ended_its_run(launched):
    told, _ = launched([Job(ORDER)], ("run.1", RateLimited("busy")))
    assert told == ["ended"]


def test_one_that_another_process_started_is_taken_up_again_when_there_is_quota(launched):
    told, _ = launched([Job(ORDER, detached=object())], ("run.1", RateLimited("busy")), ("run.1", None))
    assert told == ["put back", "ended"]


def test_no_dyno_is_started_whose_log_nobody_reads(launched, monkeypatch):
    monkeypatch.setattr(Log, "is_broken", True)
    told, _ = launched([Job(ORDER), Job(ORDER)], ("run.1", LogStreamError("gone")))
    assert told == ["ended", "The log of its runs broke"]


def test_what_fails_stops_no_other(launched):
    told, _ = launched([Job(ORDER), Job(ORDER)], ("run.1", TaskFailed("bad", None)))
    assert told == ["ended", "ended"]


def test_a_fault_of_a_desk_stops_all_and_lets_nobody_wait(launched, monkeypatch):
    monkeypatch.setattr(Notes, "look", lambda _: 1 / 0)
    told, said = launched([Job(ORDER), Job(ORDER)])
    assert said == ["A fault of heroku_magic: ZeroDivisionError. All dynos were told to stop."]
    assert told[-1] == "It met a fault of heroku_magic"


def test_a_process_that_ends_starts_no_more_dynos_and_leaves_none(tmp_path, monkeypatch):
    server = embedded(
        make_worker(
            tmp_path / "shop",
            nap="""
                import time
                from heroku_task import task

                @task
                def nap(seed: int):
                    time.sleep(60)
                """,
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", server.token.reveal())
    code = """
        import time, heroku_magic
        heroku = heroku_magic.connect("shop", say=lambda text: None)
        sweep = heroku.sweep("nap", {"seed": range(12)}, jobs=3)
        while len([run for run in sweep._desk.runs() if run.up_at]) < 3:
            time.sleep(0.02)
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert ended.stderr.count("is gone") == 3
    assert connect("shop", say=lambda _: None).dynos() == []
