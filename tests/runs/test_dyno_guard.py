"""Dynos of lost create requests, and dynos that could not be stopped, are looked for, stopped, reported and billed."""

from __future__ import annotations

import time

import pytest

from heroku_magic.api.log_lines import LogLine
from heroku_magic.api.resources import Dyno, DynoRelease
from heroku_magic.errors import NotFound, Unreachable
from heroku_magic.runs import dyno_guard, registry
from heroku_magic.runs.dyno_guard import DynoGuard
from heroku_magic.runs.spec import RunSpec

RUN = "hm-0123abcd"
SPEC = RunSpec("shop", "shop", "step", "step", {}, size="basic", timeout=600)


def dyno(number, at=0, run=RUN):
    created = f"2026-01-01T12:00:{at:02}Z"
    return Dyno(f"id-{number}", f"run.{number}", f"step #{run}", created, "up", "Basic", "run", DynoRelease("r", 1))


class Platform:
    """A Platform API with dynos; `errors` are raised by the next requests to stop one."""

    base_url, requests_left = "https://api.example", 4500

    def __init__(self):
        self.listed, self.stopped, self.errors = [], [], []

    def dynos(self, _):
        return [*self.listed]

    def stop_dyno(self, _, name):
        if self.errors:
            raise self.errors.pop(0)
        self.stopped.append(name)


@pytest.fixture
def platform(monkeypatch):
    monkeypatch.setattr(registry, "_dynos", {})
    monkeypatch.setattr(dyno_guard, "MISS_INTERVAL", 0.0)
    monkeypatch.setattr(dyno_guard, "STOP_RETRY", 0.0)
    return Platform()


@pytest.fixture
def guard(platform):
    messages = []
    guard = DynoGuard(platform, SPEC, RUN, messages.append)
    guard.messages = messages
    guard.create_sent()
    return guard


def test_a_dyno_that_appears_late_is_stopped_reported_and_billed_until_it_is_gone(guard, platform):
    guard.response_lost()
    guard.use(dyno(1))
    platform.listed = [dyno(1)]
    guard.check()
    assert platform.stopped == []

    platform.listed = [dyno(1), dyno(2), dyno(3, run="hm-99999999")]
    guard.check()
    guard.check()
    assert platform.stopped == ["id-2"]
    assert [one.dyno.name for one in guard.extra_dynos()] == ["run.2"]
    assert "run.2 is being stopped: a create request whose response was lost" in guard.messages[0]
    assert "run.2 of shop may still be running. It ends by itself at" in guard.leftover_message()
    assert not guard.is_settled()

    platform.listed = [dyno(1)]
    guard.check()
    assert guard.leftover_message() == ""
    before = guard.extra_seconds()
    time.sleep(0.05)
    assert guard.extra_seconds() == before


def test_an_extra_dyno_is_billed_from_its_creation_by_the_clock_of_the_platform(guard, platform):
    guard.response_lost()
    guard.use(dyno(1, at=30), age=20.0)
    platform.listed = [dyno(2, at=35)]
    guard.check()

    [(size, seconds)] = guard.extra_seconds()
    assert size == "Basic"
    assert 15.0 <= seconds < 16.0


def test_a_dyno_that_was_found_in_the_log_is_the_runs_own_by_its_name(guard, platform):
    guard.response_lost()
    guard.use(Dyno("run.1", "run.1", "step", "2026-01-01T12:00:00Z", "starting", "", "run", DynoRelease("", 0)))
    platform.listed = [dyno(1)]
    guard.check()

    assert platform.stopped == []
    assert not guard.is_missing(0.0)


def test_dynos_that_have_come_and_gone_are_billed_by_their_lines(guard, platform):
    guard.response_lost()
    guard.use(dyno(1))

    def line(name, second, message):
        return LogLine(f"2026-01-01T12:00:{second:02}.000000+00:00", "heroku", name, message)

    lines = [
        line("run.1", 1, f"Starting process with command `step #{RUN}`"),
        line("run.2", 5, f"Starting process with command `step #{RUN}`"),
        line("run.3", 5, "Starting process with command `step #hm-99999999`"),
        line("run.2", 12, "Process exited with status 0"),
    ]
    guard.check_at_end(lambda: lines)
    guard.check_at_end(lambda: lines)

    assert guard.extra_seconds() == [("basic", pytest.approx(7.0))]
    assert [message.split()[0] for message in guard.messages] == ["run.2"]


def test_without_a_lost_response_no_request_is_made(guard, platform):
    guard.use(dyno(1))
    guard.check_for_extras(iter(()))
    guard.check_at_end(lambda: pytest.fail("no request is needed"))
    guard.check_if_due()

    assert guard.is_settled()


def test_a_new_dyno_that_cannot_be_stopped_because_it_is_not_visible_is_not_believed_to_be_gone(guard, platform):
    guard.use(dyno(1))
    platform.errors = [NotFound("no such dyno"), NotFound("no such dyno")]

    assert [guard.try_to_stop() for _ in range(3)] == [False, False, False]
    assert platform.stopped == ["id-1"]


def test_a_dyno_that_is_never_found_is_gone_and_so_is_one_whose_app_is_gone(guard, platform):
    guard.use(dyno(1))
    platform.errors = [NotFound("no such dyno") for _ in range(3)]
    assert [guard.try_to_stop() for _ in range(3)] == [False, False, True]

    gone = NotFound("no such app")
    gone.resource = "app"
    platform.errors = [gone]
    assert guard.try_to_stop()


def test_a_stop_is_tried_again_for_a_while_and_then_by_the_guard_alone(guard, platform, monkeypatch):
    guard.use(dyno(1))
    platform.listed = [dyno(1)]
    platform.errors = [Unreachable("no connection") for _ in range(2)]
    assert not guard.try_to_stop()
    assert guard.messages == ["run.1 could not be stopped yet: no connection Trying again."]
    monkeypatch.setattr(dyno_guard, "STOP_PATIENCE", 0.0)
    with pytest.raises(Unreachable):
        guard.try_to_stop()
    guard.run_ended()

    assert "run.1 of shop may still be running" in guard.leftover_message()
    time.sleep(0.02)
    assert guard.extra_seconds()[0][1] >= 0.02, "it costs after the end of its run"
    guard.check()
    assert platform.stopped == ["id-1"]
    platform.listed = []
    guard.check()
    assert guard.is_settled()
    assert guard.messages[-1] == "run.1 is gone."


@pytest.mark.large
def test_the_guard_goes_on_after_the_run_until_nothing_is_left(guard, platform, monkeypatch):
    monkeypatch.setattr(dyno_guard, "WATCH", 0.3)
    monkeypatch.setattr(dyno_guard, "WATCH_INTERVAL", 0.02)
    monkeypatch.setattr(registry, "LOOKUP_INTERVAL", 0.0)
    monkeypatch.setattr(dyno_guard, "backlog", lambda *_: [])
    platform.stop_dyno = lambda _, name: (platform.stopped.append(name), platform.listed.clear())
    guard.response_lost()
    with guard.watched():
        platform.listed = [dyno(7)]

    assert platform.stopped == ["id-7"]
    assert guard.is_settled()
    assert RUN not in registry._watched
