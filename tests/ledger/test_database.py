"""The ledger's file survives several writers, crashes, full disks and damage, and forgets what it has to."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heroku_magic.ledger import answers
from heroku_magic.ledger import database as database_module
from heroku_magic.ledger.database import OF_SWEEP, Database, NewerLedger, UnreadableLedger
from heroku_magic.ledger.entry import Details, Entry, Payload, pack
from heroku_magic.ledger.recorder import recorder
from heroku_magic.runs.request import RunRequest
from heroku_magic.text.notifier import notifications_to

WRITER = Path(__file__).with_name("writer.py")
DETAILS = pack(Details(request=RunRequest(), facts={}))


@pytest.fixture
def database(tmp_path):
    return Database(tmp_path / ".heroku" / "history.db")


def _entry(number, **fields):
    return Entry(run=f"hm-{number:08x}", started=time.time() + number / 1000, details=DETAILS, **fields)


def _is_intact(path):
    with sqlite3.connect(path) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return found == [("ok",)]


def _start(database, name, count):
    command = [sys.executable, str(WRITER), str(database.path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_only_the_owner_can_read_the_file_and_git_ignores_the_folder(database):
    database.write([(_entry(1), Payload(rows=b"1"))])

    assert {stat.S_IMODE(path.stat().st_mode) for path in database.path.parent.glob("history.db*")} == {0o600}
    assert (database.path.parent / ".gitignore").read_text() == "*\n"


def test_what_a_write_and_a_look_up_read_does_not_grow_with_the_ledger(tmp_path, monkeypatch):
    steps, connect = [0], sqlite3.connect

    def count():
        steps[0] += 1

    def counting(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.set_progress_handler(count, 1)
        return connection

    def steps_beside(others):
        database = Database(tmp_path / str(others) / "history.db")
        database.write([(_entry(n, key=f"k{n}", sweep="hs-1", place=n), Payload(rows=b"1")) for n in range(others)])
        steps[0] = 0
        database.write([(_entry(others, key="k1", sweep="hs-1", place=1), Payload(rows=b"1"))])
        assert database.select(OF_SWEEP, ("hs-2",)) == []
        with monkeypatch.context() as patch:
            patch.setattr(answers, "database", lambda: database)
            answers.find_answers(["k1", "k2"])
        return steps[0]

    monkeypatch.setattr(sqlite3, "connect", counting)
    assert steps_beside(3_000) < 1.2 * steps_beside(30)


def test_two_processes_write_500_runs_each_at_once_and_none_is_lost(database, processes):
    writers = [_start(database, name, 500) for name in ("a0", "b0")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdout.close()

    runs = {entry.run for entry in database.select()}
    assert runs == {f"hm-{name}{number:06x}" for name in ("a0", "b0") for number in range(500)}
    assert _is_intact(database.path)


def test_a_writer_that_is_killed_50_times_leaves_the_file_intact_and_loses_only_its_last_run(database, processes):
    pids = []
    for round_ in range(50):
        pid = os.fork()
        if not pid:
            _write_until_killed(database, round_)
        pids.append(pid)
        written = 0
        while written < 2:  # it is amid its next ones by now
            written = len(database.select("task = ?", (str(round_),), limit=2))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    assert _is_intact(database.path)
    for round_ in range(50):
        numbers = sorted(int(entry.run[-6:], 16) for entry in database.select("task = ?", (str(round_),)))
        assert numbers == [*range(len(numbers))]


def _write_until_killed(database, round_):
    try:
        number = 0
        while True:
            entry = Entry(run=f"hm-{round_:02x}{number:06x}", task=str(round_), started=number, details=DETAILS)
            database.write([(entry, Payload(rows=os.urandom(20_000)))])
            number += 1
    finally:
        os._exit(1)


@pytest.mark.large
def test_entries_that_end_shortly_after_each_other_are_one_transaction(ledger_folder, monkeypatch):
    written, write = [], Database.write
    monkeypatch.setattr("heroku_magic.ledger.recorder.COLLECTING", 2.0)

    def counted(self, entries):
        written.append(len(entries := [*entries]))
        write(self, entries)

    monkeypatch.setattr(Database, "write", counted)
    for number in range(3):
        recorder.add(_entry(number))
        time.sleep(0.1)
    recorder.flush()
    assert written == [3]


def test_an_entry_replaces_that_of_the_same_run_with_its_rows(database):
    database.write([(_entry(1, state="failed"), Payload(rows=b"old", log=b"old"))])
    database.write([(entry := _entry(1, state="done"), Payload(rows=b"new"))])

    assert [one.state for one in database.select()] == ["done"]
    assert database.payload(entry.identity) == Payload(rows=b"new")
    with sqlite3.connect(database.path) as connection:
        assert connection.execute("SELECT count(*) FROM payloads").fetchone() == (1,)
    connection.close()


def test_an_earlier_run_that_is_written_again_with_late_lines_does_not_replace_a_later_answer(database):
    earlier, later = _entry(1, key="k"), _entry(2, key="k")
    for entry in (earlier, later, earlier):
        database.write([(entry, Payload())])

    assert database.select("key = 'k'", limit=1) == [later]


def test_an_answer_of_a_time_when_the_clock_was_wrong_is_replaced(database):
    future, now = _entry(3_600_000, key="k"), _entry(0, key="k")
    for entry in (future, now):
        database.write([(entry, Payload())])

    assert database.select("key = 'k'") == [now]


def test_a_resumed_sweep_replaces_the_run_of_a_combination(database):
    failed = Entry(run="hm-00000001", sweep="hs-00000001", place=3, state="failed", details=DETAILS)
    done = Entry(run="hm-00000002", sweep="hs-00000001", place=3, state="done", details=DETAILS)
    database.write([(failed, Payload())])
    database.write([(done, Payload())])

    assert [one.run for one in database.select("sweep = ?", ("hs-00000001",))] == ["hm-00000002"]


@pytest.mark.parametrize("kept", [0, 50, 100, 1024, 5000])
def test_a_damaged_file_is_set_aside_and_a_new_one_started(database, kept):
    database.write([(_entry(number), Payload(rows=bytes(5_000))) for number in range(200)])
    content = database.path.read_bytes()
    database.path.write_bytes(content[:kept] + b"\x9c" * (len(content) - kept))
    messages = []

    with notifications_to(messages.append):
        database.write([(_entry(7), Payload())])

    assert [one.run for one in database.select()] == ["hm-00000007"]
    (kept,) = database.path.parent.glob("history.db.damaged-*")
    assert messages == [f"{database.path} is damaged. It was renamed to {kept.name}, and a new history begins."]
    assert _is_intact(database.path)


def test_deleting_everything_deletes_damaged_files_too(database):
    database.write([(_entry(1), Payload(rows=b"secret rows"))])
    database.path.rename(database.path.with_name("history.db.damaged-20261129-120000"))

    assert database.forget(None) == 0
    assert [*database.path.parent.glob("history.db*")] == []


def test_deleting_everything_of_a_damaged_file_leaves_no_copy_of_it(database):
    database.write([(_entry(1), Payload(rows=b"secret rows"))])
    database.path.write_bytes(b"\x9c" * 8192 + b"secret rows")

    assert database.forget(None) == 0
    assert [one.name for one in database.path.parent.glob("history.db.*")] == []
    assert b"secret rows" not in database.path.read_bytes()


def test_what_prevents_that_a_file_is_changed_is_named(database):
    database.path.mkdir(parents=True)

    with pytest.raises(UnreadableLedger, match=r"history\.db cannot be changed: .*\. Try again, or move the file away"):
        database.forget(None)


def test_a_file_of_a_newer_version_is_left_alone(database):
    database.write([(_entry(1), Payload())])
    with sqlite3.connect(database.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(NewerLedger, match="newer version of heroku_magic"):
        database.write([(_entry(2), Payload())])
    with pytest.raises(NewerLedger, match="newer version of heroku_magic"):
        database.select()


def test_an_older_file_is_brought_to_the_current_schema(database, monkeypatch):
    database.write([(_entry(1), Payload(rows=b"kept"))])
    added = "ALTER TABLE entries ADD COLUMN colour TEXT DEFAULT 'red'"
    monkeypatch.setattr(database_module, "MIGRATIONS", (*database_module.MIGRATIONS, added))

    (entry,) = database.select()

    assert database.payload(entry.identity) == Payload(rows=b"kept")
    with sqlite3.connect(database.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(database_module.MIGRATIONS),)
        assert connection.execute("SELECT colour FROM entries").fetchone() == ("red",)
    connection.close()


def test_rows_older_than_90_days_go_and_their_entries_stay(database):
    old = Entry(run="hm-00000001", started=time.time() - 91 * 86400, rows=1, key="old", details=DETAILS)
    database.write([(old, Payload(rows=b"old")), (new := _entry(2, key="new"), Payload(rows=b"new"))])

    database.prune()

    assert [one.run for one in database.select()] == ["hm-00000002", "hm-00000001"]
    assert (database.payload(old.identity), database.payload(new.identity)) == (None, Payload(rows=b"new"))
    assert [one.key for one in database.select()] == ["new", ""]  # what is incomplete answers no call


def test_the_oldest_rows_go_first_beyond_the_limit_and_the_file_shrinks(database, monkeypatch):
    monkeypatch.setattr(database_module, "KEPT_BYTES", 250_000)
    entries = [_entry(number) for number in range(5)]
    database.write([(entry, Payload(rows=os.urandom(100_000))) for entry in entries])
    before = database.path.stat().st_size

    database.prune()

    assert [database.payload(entry.identity) is None for entry in entries] == [True, True, True, False, False]
    assert database.path.stat().st_size < before


def test_what_is_forgotten_is_no_longer_in_the_file(database):
    database.write([(_entry(1, task="a-private-name"), Payload()), (_entry(2), Payload())])
    below = Entry(run="hm-00000003", sweep="hs-00000001", place=0, task="a-private-name", details=DETAILS)
    database.write([(Entry(run="hs-00000001", details=DETAILS), Payload()), (below, Payload())])

    assert database.forget(["hm-00000001", "hs-00000001"]) == 2

    assert [one.run for one in database.select()] == ["hm-00000002"]
    assert all(b"a-private-name" not in path.read_bytes() for path in database.path.parent.iterdir())
    assert database.forget(None) == 1
    assert database.select() == []


def test_a_network_file_system_gets_a_rollback_journal(database, monkeypatch):
    monkeypatch.setattr(database_module, "is_network", lambda folder: True)
    database.write([(_entry(1), Payload())])

    with sqlite3.connect(database.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
