"""Many runs share one log session and its backlog, and each receives the lines of its dyno."""

from __future__ import annotations

import threading

import pytest

from heroku_magic.api import shared_log
from heroku_magic.api.log_lines import LogLine
from heroku_magic.api.shared_log import SharedLog
from heroku_magic.errors import LogStreamError


def line(dyno, message="x"):
    return LogLine("2026-01-01T00:00:00.000000+00:00", "app", dyno, message)


@pytest.fixture
def log(monkeypatch):
    """One that reads nothing by itself."""
    monkeypatch.setattr(shared_log, "BACKLOG_INTERVAL", 0.0)
    return SharedLog(None, "shop")


def test_each_run_gets_the_lines_of_its_dyno_including_earlier_ones(log):
    one, other = [], []
    log._take([line("run.1", "early"), line("run.2", "other")])
    log.follow("run.1", one.append)
    log._take([line("run.1", "late")])
    log.follow("run.2", other.append)
    assert [[each.message for each in lines] for lines in one] == [["early"], ["late"]]
    assert [[each.message for each in lines] for lines in other] == [["other"]]


def test_lines_after_unfollowing_are_kept_for_the_next_dyno_of_that_name(log):
    lines = []
    log.follow("run.1", lines.append).close()
    log._take([line("run.1")])
    assert lines == []
    log.follow("run.1", lines.append)
    assert lines == [[line("run.1")]]


def test_a_broken_log_is_reported_to_current_and_later_followers(log):
    now, later = [], []
    log.follow("run.1", now.append)
    assert not log.is_broken
    log._take(LogStreamError("gone"))
    assert log.is_broken
    log.follow("run.2", later.append)
    assert [str(error) for error in now + later] == ["gone", "gone"]


def test_a_failed_backlog_request_never_returns_an_older_backlog(log, monkeypatch):
    answers = [[line("run.1", "old")], LogStreamError("refused"), [line("run.1", "new")]]
    asked, go_on, now = threading.Event(), threading.Event(), [0.0]
    monkeypatch.setattr(shared_log.time, "monotonic", lambda: now[0])

    def backlog(*_):
        answer = answers.pop(0)
        if isinstance(answer, LogStreamError):
            asked.set()
            go_on.wait(10)
            raise answer
        return answer

    monkeypatch.setattr(shared_log, "backlog", backlog)
    assert log.backlog()[0].message == "old"
    got, now[0] = [], 1.0

    def ask():
        try:
            got.append(log.backlog()[0].message)
        except LogStreamError as error:
            got.append(str(error))

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    asked.wait(10)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert got == ["refused", "new"]
