"""Many runs share one log session and its backlog, and each receives the lines of its dyno."""

from __future__ import annotations

import threading

import pytest

from heroku_magic.api import shared_log
from heroku_magic.api.log_lines import LogLine
from heroku_magic.api.loss_stream import LossStream
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


REPORTS = [
    LogLine(
        "2026-01-01T00:00:00.000000+00:00",
        "heroku",
        "logplex",
        "Error L11 (Tail buffer overflow) -> dropped 5 messages",
    ),
    LogLine("2026-01-01T00:00:00.000000+00:00", "app", "log-shuttle", "Error L12: 3 messages dropped since 1."),
]


def test_reports_of_lost_lines_reach_every_dyno_even_those_followed_later(log):
    one, other, later = [], [], []
    log.follow("run.1", one.append)
    log.follow("run.2", other.append)
    log._take([line("run.1"), REPORTS[0]])
    log._take_losses([REPORTS[1], line("run.2"), line("log-shuttle", "no report")])
    log.follow("run.3", later.append)
    assert sorted(map(str, [each for lines in one for each in lines])) == sorted(map(str, [line("run.1"), *REPORTS]))
    assert [each for lines in other for each in lines] == REPORTS
    assert later == [REPORTS]


def test_leaving_a_dyno_never_touches_another_of_the_same_name(log):
    old, new = [], []
    first = log.follow("run.1", old.append)
    second = log.follow("run.1", new.append)
    log._take([line("run.1", "both")])
    first.close()
    log._take([line("run.1", "new")])
    first.close()
    second.close()
    log._take([line("run.1", "nobody")])
    assert [each.message for lines in old for each in lines] == ["both"]
    assert [each.message for lines in new for each in lines] == ["both", "new"]


def test_lines_held_for_a_dyno_are_not_taken_by_another_of_its_name(log):
    first, second = [], []
    log._take([line("run.1", "early")])
    log.follow("run.1", second.append)
    log.follow("run.1", first.append)
    assert first == second == [[line("run.1", "early")]]


def test_one_stream_of_losses_serves_all_dynos(log, monkeypatch):
    started = []
    monkeypatch.setattr(shared_log.LossStream, "start", lambda self: started.append(self) or self)
    monkeypatch.setattr(shared_log.LossStream, "close", lambda stream: started.remove(stream))  # noqa: PLW0108 - a method
    assert log.watch_losses() is log.watch_losses()
    assert len(started) == 1
    monkeypatch.setattr(log._stream, "close", lambda: None)
    log.close()
    assert started == []


def test_a_loss_stream_passes_reports_on_and_knows_that_it_is_broken():
    got = []
    stream = LossStream(None, "shop", got.append)
    stream._take([*REPORTS, line("run.1")])
    assert not stream.is_broken
    stream._take([line("run.1")])
    stream._take(LogStreamError("gone"))
    assert got == [REPORTS]
    assert stream.is_broken
