"""Tests of heroku_magic.sweeps.launcher."""

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
from heroku_magic.sweeps.launcher import Job, JobSource, Launcher
from heroku_magic.text.notifier import notifications_to

ORDER = RunSpec("shop", "shop", "step", "step", {})


class FakeRun:
    """A run that ends at once, in the way that the test lists next."""

    endings: deque[tuple[str | None, Exception | None]]

    def __init__(self, client, order, detached=None, *, log, on_exit):
        self.dyno, self.error = self.endings.popleft() if self.endings else ("run.1", None)
        self.size = "basic"
        self.has_exited = False

    def start(self):
        return self

    def call_when_done(self, callback):
        callback(self)

    def cancel(self):
        pass

    def wait(self):
        self.was_awaited = True

    def exception(self):
        return self.error


class FakeLog:
    is_broken = False

    def __init__(self, *_):
        pass

    def start(self):
        return self

    def close(self):
        pass


class RecordingSource(JobSource):
    """A job source that records what the launcher calls."""

    def __init__(self, *jobs):
        super().__init__()
        self.jobs = deque(jobs)
        self.events = []
        self.is_over = threading.Event()

    def most_at_once(self, size):
        return 1

    def next_job(self):
        return self.jobs.popleft() if self.jobs and not self.is_stopping else None

    def remaining(self):
        return len(self.jobs)

    def is_finished(self):
        return self.is_stopping or not self.jobs

    def on_refusal(self, job):
        self.running.remove(job)
        self.events.append("put back")
        self.jobs.append(job)

    def on_end(self, job):
        self.running.remove(job)
        self.events.append("ended")

    def stop(self, reason):
        super().stop(reason)
        self.events.append(reason)

    def on_finish(self):
        self.is_over.set()


class Client:
    requests_left = 4500


@pytest.fixture
def launched(monkeypatch, processes):
    """Run jobs with the given endings; return the events of their source and the messages to the user."""
    monkeypatch.setattr(launcher, "Run", FakeRun)
    monkeypatch.setattr(launcher, "SharedLog", FakeLog)
    monkeypatch.setattr(launcher, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr("heroku_magic.sweeps.throttle.SHORTEST_WAIT", 0.01)

    def launched(jobs, *endings):
        FakeRun.endings = deque(endings)
        source, messages = RecordingSource(*jobs), []
        with notifications_to(messages.append):
            Launcher(Client(), source).start("launcher")
        assert source.is_over.wait(20)
        return source.events, messages

    return launched


def test_a_job_refused_because_of_a_limit_is_tried_again(launched):
    full = Refused("You have reached your one-off limit.", id="cannot_run_above_limit")
    events, messages = launched([Job(ORDER)], (None, RateLimited("busy")), (None, full), ("run.1", None))
    assert events == ["put back", "put back", "ended"]
    assert "requests for this hour are used up" in messages[0]
    assert messages[1] == "You have reached your one-off limit. Continuing with 1 at once."


def test_a_run_that_had_a_dyno_counts_as_an_attempt_even_if_the_quota_ended_it(launched):
    events, _ = launched([Job(ORDER)], ("run.1", RateLimited("busy")))
    assert events == ["ended"]


def test_a_run_of_another_process_is_attached_again_when_the_quota_allows_it(launched):
    events, _ = launched([Job(ORDER, detached=object())], ("run.1", RateLimited("busy")), ("run.1", None))
    assert events == ["put back", "ended"]


def test_no_dyno_is_started_after_the_log_broke(launched, monkeypatch):
    monkeypatch.setattr(FakeLog, "is_broken", True)
    events, _ = launched([Job(ORDER), Job(ORDER)], ("run.1", LogStreamError("gone")))
    assert events == ["ended", "The log stream of its runs broke"]


def test_a_failed_run_does_not_stop_the_others(launched):
    events, _ = launched([Job(ORDER), Job(ORDER)], ("run.1", TaskFailed("bad", None)))
    assert events == ["ended", "ended"]


def test_an_internal_error_stops_all_runs_and_finishes_the_source(launched, monkeypatch):
    monkeypatch.setattr(RecordingSource, "poll", lambda _: 1 / 0)
    events, messages = launched([Job(ORDER), Job(ORDER)])
    assert messages == ["Internal error in heroku_magic: ZeroDivisionError. All dynos are being stopped."]
    assert events[-1] == "An internal error of heroku_magic ended it"


def test_after_an_internal_error_the_ends_of_all_runs_are_awaited_before_their_log_is_closed(launched, monkeypatch):
    order = []
    monkeypatch.setattr(FakeRun, "call_when_done", lambda *_: None)
    monkeypatch.setattr(FakeRun, "wait", lambda _: order.append("awaited"))
    monkeypatch.setattr(FakeLog, "close", lambda _: order.append("closed"))
    monkeypatch.setattr(RecordingSource, "poll", lambda _: 1 / 0)
    events, _ = launched([Job(ORDER)])
    assert events == ["An internal error of heroku_magic ended it", "ended"]
    assert order == ["awaited", "closed"]


def test_a_source_whose_thread_the_system_refuses_is_finished(launched, monkeypatch):
    def refused(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refused)
    events, _ = launched([Job(ORDER)])
    assert events == ["It could not be started: can't start new thread"]


@pytest.mark.usefixtures("processes")
def test_a_process_that_exits_stops_its_dynos_and_starts_no_more(tmp_path, monkeypatch):
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
        while len([run for run in sweep._scheduler.runs() if run.up_at]) < 3:
            time.sleep(0.02)
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert ended.stderr.count("is gone") == 3
    assert connect("shop", say=lambda _: None).dynos() == []
