"""The end of work of more than 30 s is signalled, once, and not again when the notebook is opened."""

from __future__ import annotations

import io
import json
import re

import pytest

from heroku_magic.display import end_signal
from heroku_magic.display.end_signal import signal_end


class Job:
    id, task, error = "hm-0", "simulate", None

    def call_when_done(self, callback):
        self.end = lambda: callback(self)

    def exception(self):
        return self.error


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def job():
    return Job()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


@pytest.fixture
def shown(monkeypatch):
    """What a notebook gets: the first bundle, then the updates."""
    bundles = []

    class Handle:
        def update(self, bundle, *, raw):
            bundles.append(bundle)

    def display(bundle, *, raw, display_id):
        bundles.append(bundle)
        return Handle()

    monkeypatch.setattr(end_signal, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    return bundles


def after(job, seconds):
    times = iter((100.0, 100.0 + seconds))
    signal_end(job, clock=lambda: next(times))
    job.end()


@pytest.mark.parametrize(("seconds", "expected"), [(30, ""), (30.1, "\a"), (3600, "\a")])
def test_a_terminal_rings_only_after_more_than_thirty_seconds(job, terminal, seconds, expected, monkeypatch):
    monkeypatch.setattr("sys.stdout", terminal)
    after(job, seconds)

    assert terminal.getvalue() == expected


def test_output_that_is_not_a_terminal_gets_no_bell(job, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout", terminal)
    after(job, 60)

    assert terminal.getvalue() == ""


def test_a_notebook_asks_for_permission_at_the_start_and_shows_nothing_for_short_work(job, shown):
    after(job, 1)

    (bundle,) = shown
    assert "Notification.requestPermission()" in bundle["application/javascript"]


@pytest.mark.parametrize(("error", "words"), [(None, "is done"), (ValueError(), "has failed or was stopped")])
def test_the_notification_names_the_task_its_outcome_and_its_seconds(job, shown, error, words):
    job.task, job.error = 'it\'s </script> "quoted"', error
    after(job, 61)

    script = shown[1]["application/javascript"]
    assert shown[1]["text/plain"] == f"{job.task} {words} after 61 s"
    assert json.loads(re.search(r"\{body: (.*)\}\);$", script)[1]) == shown[1]["text/plain"]
    assert "permission === 'granted'" in script


def test_an_old_notification_is_not_repeated_when_a_notebook_is_opened(job, shown, monkeypatch):
    monkeypatch.setattr(end_signal.time, "time", lambda: 1_700_000_000.5)
    after(job, 61)

    assert "Date.now() - 1700000000500 < 60000" in shown[1]["application/javascript"]
