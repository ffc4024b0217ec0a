"""A run on the embedded Heroku, from request to result, and each way it can end."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import signal
import threading
import time

import pandas as pd
import pytest
from workers import make_worker

from heroku_magic import RunCancelled, TaskFailed, connect
from heroku_magic.api.log_lines import LogLine
from heroku_magic.runs.events import StateChange
from heroku_magic.runs.line_inbox import BACKLOG_MIN
from heroku_magic.runs.log_reader import RunLog
from heroku_magic.runs.runner import Runner

TASKS = {
    "count": """
        from heroku_task import task, progress

        @task
        def count(n: int = 3, word: str = "x"):
            for i in progress(range(n)):
                print("line", i)
                yield {"i": i, "word": word}
        """,
    "empty": """
        from heroku_task import task

        @task
        def empty():
            return
            yield
        """,
    "one": """
        from heroku_task import task

        @task
        def one():
            return {"a": 1, "b": [1, 2]}
        """,
    "nothing": """
        from heroku_task import task

        @task
        def nothing():
            print("only a log")
        """,
    "broken": """
        from heroku_task import task

        @task
        def broken(at: int = 2):
            for i in range(5):
                if i == at:
                    raise ValueError(f"bad luck at {i}")
                yield {"i": i}
        """,
    "imports": """
        from heroku_task import task
        import a_package_that_is_not_there

        @task
        def imports():
            return None
        """,
    "slow": """
        import time
        from heroku_task import task

        @task
        def slow(seconds: float = 60.0):
            yield {"before": 1}
            print("sleeping")
            time.sleep(seconds)
            yield {"after": 1}
        """,
}
PLAIN = {
    "json": 'for i in 1 2 3; do echo "{\\"i\\": $i}"; done',
    "exits": "echo before; exit 3",
    "killed": "echo before; kill -9 $$",
    "silent": "true",
    "bytes": r"printf 'caf\xe9 \xff\xfe\n\x1b[31mred\n\xe2\x80\xaeevil\n<script>\n'",
    "long": "head -c 1000000 /dev/zero | tr '\\0' x; echo end",
    "stubborn": "trap '' TERM; echo up; sleep 60",
    "env": "env | sort",
}


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    folder = make_worker(
        tmp_path_factory.mktemp("app") / "worker", {name: f"bash {name}.sh" for name in PLAIN}, **TASKS
    )
    for name, script in PLAIN.items():
        (folder / f"{name}.sh").write_text(script + "\n")
    return connect(worker=folder, say=lambda _: None)


def test_rows_come_back_as_a_dataframe_with_the_runs_facts(heroku):
    df = heroku.run("count", {"n": 3, "word": "y"})

    pd.testing.assert_frame_equal(df, pd.DataFrame({"i": [0, 1, 2], "word": ["y"] * 3}), check_flags=False)
    facts = df.attrs["heroku"]
    assert facts["run"].startswith("hm-")
    assert facts["dyno"].startswith("run.")
    assert (facts["app"], facts["task"], facts["size"]) == ("embedded", "count", "Standard-1X")
    assert (facts["exit_status"], facts["verified"], facts["dollars"]) == (0, True, 0.0)
    assert facts["seconds"] > 0
    assert facts["release"] >= 1
    assert "T" in facts["started_at"]


def test_no_rows_one_row_and_no_table_are_different_results(heroku):
    assert heroku.run("empty").shape == (0, 0)
    assert heroku.run("one").to_dict("records") == [{"a": 1, "b": [1, 2]}]
    assert heroku.run("nothing") is None


def test_any_number_of_readers_get_every_event(heroku):
    run = heroku.submit("count")
    first = list(run)
    second = list(run)

    assert first == second
    states = [event.state for event in first if isinstance(event, StateChange)]
    assert states == ["requested", "starting", "up", "done"]
    assert [line.message for line in first if isinstance(line, LogLine) and line.source == "app"] == [
        "line 0",
        "line 1",
        "line 2",
    ]


def test_a_run_behaves_like_a_future(heroku):
    run = heroku.submit("slow", {"seconds": 0.3})

    assert not run.done()
    assert run.running()
    with pytest.raises(TimeoutError):
        run.result(timeout=0.01)
    assert run.wait(10)
    assert run.exception() is None
    assert run.exit_status == 0
    assert not run.cancelled()
    assert not run.cancel(), "it is over already"
    assert run.logs() == "sleeping"
    ended = []
    run.add_done_callback(ended.append)
    assert ended == [run]


def test_callbacks_of_a_run_may_wait_for_another_run_sleep_or_raise(heroku, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    run, done, order = heroku.submit("slow", {"seconds": 0.5}), threading.Event(), []

    def wait_for_another(ended):
        order.append(len(heroku.submit("count").result(timeout=60)))
        done.set()

    def fail(ended):
        order.append(ended.state)
        raise RuntimeError("a callback failed")

    run.add_done_callback(fail)
    run.add_done_callback(lambda ended: time.sleep(60))
    run.add_done_callback(wait_for_another)

    assert run.wait(60)
    assert done.wait(60)
    assert order == ["done", 3]
    assert [event.state for event in run if isinstance(event, StateChange)][-1] == "done"


def test_the_error_of_a_failed_task_keeps_its_run_in_a_pickle(heroku):
    run = heroku.submit("broken")
    error = run.exception(60)
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again)) == (TaskFailed, str(error))
    pd.testing.assert_frame_equal(again.partial, error.partial)
    known, kept = run.snapshot(), again.run
    assert (kept.id, kept.task, kept.dyno, kept.exit_status, kept.was_evicted) == (
        run.id,
        "broken",
        run.dyno,
        1,
        run.was_evicted,
    )
    assert (kept.logs(), kept.files, kept.facts()) == (run.logs(), run.files, run.facts())
    assert repr(kept) == repr(known)
    assert copy.deepcopy(error).run is run


def test_the_pickle_of_an_error_holds_neither_the_token_nor_a_secret(heroku, monkeypatch):
    monkeypatch.setenv("PASSWORD", "correct-horse-battery")
    run = heroku.submit(command='echo "$PASSWORD $RUN_KEY"; exit 3', secrets=["PASSWORD"])
    data = pickle.dumps(run.exception(60))

    assert b"exit status 3" in data
    assert b"correct-horse-battery" not in data
    assert run._runner.key.env().partition(":")[2].encode() not in data
    assert heroku.client._transport.token.reveal().encode() not in data


def test_a_failed_task_raises_its_own_exception_with_its_lines(heroku):
    with pytest.raises(TaskFailed) as caught:
        heroku.run("broken")

    text = str(caught.value)
    assert text.startswith("ValueError: bad luck at 2\n  broken.py:8  in broken\n")
    assert 'raise ValueError(f"bad luck at {i}")' in text
    assert "exit status 1" in text
    assert caught.value.partial.to_dict("records") == [{"i": 0}, {"i": 1}]
    assert caught.value.run.exit_status == 1


def test_rows_of_lines_that_arrive_after_the_end_are_among_the_partial_ones(heroku):
    run = heroku.submit("broken")
    run.exception(60)
    before = run.partial
    assert run.partial is before

    run.parts[-1].rows.append({"i": 2})
    assert run.partial.to_dict("records") == [{"i": 0}, {"i": 1}, {"i": 2}]


def test_a_missing_package_names_the_line_to_add(heroku):
    with pytest.raises(TaskFailed, match=r"%%writefile -a .*requirements\.txt\na_package_that_is_not_there$"):
        heroku.run("imports")


def test_json_lines_of_a_shell_script_are_unverified_rows(heroku):
    df = heroku.run("json")

    assert df["i"].tolist() == [1, 2, 3]
    assert df.attrs["heroku"]["verified"] is False


@pytest.mark.parametrize(("task", "status"), [("exits", 3), ("killed", 137)])
def test_an_exit_status_is_the_true_one(heroku, task, status):
    with pytest.raises(TaskFailed, match=f"exit status {status}"):
        heroku.run(task)


def test_a_silent_task_succeeds(heroku):
    run = heroku.submit("silent")

    assert run.result() is None
    assert (run.logs(), run.exit_status) == ("", 0)


def test_a_line_of_a_megabyte_is_complete(heroku):
    run = heroku.submit("long")
    run.result()

    assert run.logs() == "x" * 1_000_000 + "end"


def test_invalid_utf_8_is_replaced_and_nothing_else_is_lost(heroku):
    run = heroku.submit("bytes")
    run.result()

    assert run.logs().splitlines() == ["caf\ufffd \ufffd\ufffd", "\x1b[31mred", "\u202eevil", "<script>"]


def test_any_command_runs_with_its_true_status(heroku):
    run = heroku.submit(command="echo hi there; exit 4")

    with pytest.raises(TaskFailed, match="exit status 4"):
        run.result()
    assert run.logs() == "hi there"


def test_cancel_stops_the_dyno_and_waits_until_it_is_gone(heroku):
    run = heroku.submit("slow")
    wait_for(lambda: "sleeping" in run.logs())
    assert run.cancel()

    with pytest.raises(RunCancelled, match="was stopped after") as caught:
        run.result(timeout=10)
    assert run.cancelled()
    assert caught.value.partial.to_dict("records") == [{"before": 1}]
    assert heroku.dynos() == []


def test_cancel_before_the_create_response_leaves_no_dyno(heroku):
    run = heroku.submit("slow")
    run.cancel()

    with pytest.raises(RunCancelled):
        run.result(timeout=10)
    assert heroku.dynos() == []


def test_a_time_limit_ends_the_task_and_says_so(heroku):
    run = heroku.submit("slow", timeout=1)

    with pytest.raises(TaskFailed, match="the time limit of 1 s was reached"):
        run.result(timeout=10)
    assert 0.5 < run.seconds < 10


def test_a_wait_before_the_create_request_is_not_part_of_the_time_limit(heroku, monkeypatch):
    monkeypatch.setattr("heroku_magic.runs.runner.wait_for_installation", lambda *_: time.sleep(5))
    run = heroku.submit("count", timeout=5)

    assert len(run.result(timeout=20)) == 3
    assert run.seconds < 5
    assert run.ends_at - run.started_at == pytest.approx(5)
    assert run.up_at > run.started_at


@pytest.mark.parametrize("options", [{"task": "count"}, {"command": "echo done"}])
def test_a_success_just_before_the_time_limit_is_a_success(heroku, monkeypatch, options):
    monkeypatch.setattr("heroku_magic.runs.run_clock._SLACK", 60)

    assert heroku.submit(**options, timeout=60).exception(20) is None


def test_the_dyno_carries_the_runs_public_id_and_nothing_else_of_ours(heroku):
    run = heroku.submit("slow")
    wait_for(lambda: run.dyno)
    (dyno,) = heroku.dynos()
    run.cancel()
    run.wait()

    assert dyno.command == f"slow  #{run.id}"


def test_the_runs_key_appears_nowhere(heroku):
    run = heroku.submit("count")
    run.result()

    secret = run._runner.key.env().partition(":")[2]
    everything = "".join(map(repr, run)) + repr(run) + repr(vars(run)) + repr(vars(run._runner)) + str(run.facts())
    assert secret not in everything


def test_a_dyno_whose_create_response_was_lost_is_found_by_the_runs_id(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.errors import Unreachable

    really = HerokuClient.create_dyno

    def lose_the_answer(self, *args, **options):
        really(self, *args, **options)
        raise Unreachable("the connection broke")

    monkeypatch.setattr(HerokuClient, "create_dyno", lose_the_answer)

    assert len(heroku.run("count")) == 3


@pytest.mark.parametrize("seconds", [0, 2])
def test_a_command_of_several_lines_is_found_after_a_lost_response(heroku, monkeypatch, seconds):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.errors import Unreachable

    really, created = HerokuClient.create_dyno, []

    def lose_the_answer(self, *args, **options):
        created.append(really(self, *args, **options))
        raise Unreachable("the connection broke")

    monkeypatch.setattr(HerokuClient, "create_dyno", lose_the_answer)
    run = heroku.submit(command=f"cat <<EOF\nhello\nEOF\nsleep {seconds}")

    assert run.result(timeout=30) is None
    assert run.logs() == "hello"
    assert len(created) == 1


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("cat <<EOF\nhello\nEOF", "hello"),
        ("cat <<EOF\nhello", "hello"),
        ("echo one \\", "one \\"),
        ("(\necho one # two\n)", "one"),
        ("count_lines() {\nwc -l\n}\nprintf 'a\\nb\\n' | count_lines", "2"),
    ],
)
def test_the_runs_id_does_not_reach_the_command(heroku, command, output):
    run = heroku.submit(command=command)
    run.wait(30)

    assert [line for line in run.logs().split("\n") if "warning: here-document" not in line] == [output]


def test_a_line_that_the_shell_repeats_is_shown_as_it_was_typed(heroku):
    run = heroku.submit(command="echo )")
    run.wait(30)

    assert run.exit_status == 2
    assert "`echo )'" in run.logs()


def test_a_create_request_that_never_arrives_is_an_error_without_a_dyno(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.errors import Unreachable

    def never(self, *args, **options):
        raise Unreachable("the connection broke")

    monkeypatch.setattr(HerokuClient, "create_dyno", never)

    with pytest.raises(Unreachable):
        heroku.submit("count").result()
    assert heroku.dynos() == []


def test_a_lost_create_that_cannot_be_looked_up_stays_unknown(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.errors import RateLimited, Unreachable

    def lost(self, *args, **options):
        raise Unreachable("the connection broke")

    def busy(self, *args):
        raise RateLimited("busy")

    heroku.tasks()
    monkeypatch.setattr(HerokuClient, "create_dyno", lost)
    monkeypatch.setattr(HerokuClient, "dynos", busy)

    with pytest.raises(Unreachable, match=r"unknown whether a dyno was started for hm-"):
        heroku.submit("count").result()


def test_a_run_continues_when_a_second_dyno_cannot_be_looked_up(heroku, monkeypatch):
    from heroku_magic.api.client import HerokuClient
    from heroku_magic.errors import RateLimited, Unreachable

    create, dynos, asked = HerokuClient.create_dyno, HerokuClient.dynos, []

    def lose_the_answer(self, *args, **options):
        create(self, *args, **options)
        raise Unreachable("the connection broke")

    def busy_after_the_first(self, app):
        asked.append(app)
        if len(asked) > 1:
            raise RateLimited("busy")
        return dynos(self, app)

    monkeypatch.setattr(HerokuClient, "create_dyno", lose_the_answer)
    monkeypatch.setattr(HerokuClient, "dynos", busy_after_the_first)

    run = heroku.submit("count")
    assert len(run.result()) == 3
    assert any(
        "unknown whether a lost create request started another dyno for this run" in (event.note or "")
        for event in run
        if hasattr(event, "note")
    )


def test_concurrent_runs_keep_their_rows_apart(heroku):
    runs = [heroku.submit("count", {"word": str(i)}) for i in range(2)]

    assert [run.result()["word"].unique().tolist() for run in runs] == [["0"], ["1"]]


def test_a_declaration_that_only_the_log_history_has_is_known_too(heroku, monkeypatch):
    take = RunLog.take
    monkeypatch.setattr(
        RunLog, "take", lambda log, lines: take(log, [line for line in lines if " 0 task " not in line.message])
    )
    run = heroku.submit("count", {"word": "one"})
    run.result()
    assert run.declaration is not None
    assert run.declaration.task == "count"


def test_a_fast_log_is_slowed_down_rather_than_kept_in_memory(heroku, monkeypatch):
    waiting, take = [], Runner._take

    def slowly(runner, lines):
        time.sleep(0.005)
        waiting.append(len(runner._inbox))
        take(runner, lines)

    monkeypatch.setattr(Runner, "_take", slowly)
    monkeypatch.setattr("heroku_magic.runs.line_inbox.READER_PAUSE", 0.01)
    run = heroku.submit(command="seq 1 300000", rows=False)
    run.result(60)
    assert run.logs().split("\n")[-1] == "300000"
    assert BACKLOG_MIN // 2 < max(waiting) < 2 * BACKLOG_MIN


def test_an_interrupt_in_python_stops_the_dyno(heroku):
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(RunCancelled):
        heroku.run("slow")

    assert heroku.dynos() == []


def test_an_interrupt_that_the_system_gives_another_thread_stops_the_dyno(heroku):
    threading.Timer(0.5, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()
    with pytest.raises(RunCancelled):
        heroku.run("slow", {"seconds": 3_000.0})

    assert heroku.dynos() == []


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_an_internal_error_ends_the_run(heroku, monkeypatch):
    from heroku_magic import HerokuMagicError
    from heroku_magic.runs.lifecycle import Lifecycle

    monkeypatch.setattr(Lifecycle, "lines_arrived", lambda *_, **__: 1 / 0)

    run, calls = heroku.submit("slow"), []
    run.add_done_callback(calls.append)
    with pytest.raises(HerokuMagicError, match=r"error in heroku_magic: ZeroDivisionError\. run\.\d+ was stopped\.$"):
        run.result(timeout=20)
    assert heroku.dynos() == []
    wait_for(lambda: calls == [run])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault", ["disk", "verdict", "threads"])
def test_any_fault_of_our_own_stops_the_dyno_and_calls_the_callbacks(heroku, monkeypatch, fault):
    from heroku_magic import HerokuMagicError
    from heroku_magic.api.log_stream import LogStream
    from heroku_magic.runs import event_log
    from heroku_magic.runs.log_reader import RunLog

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    heroku.tasks()
    if fault == "disk":
        monkeypatch.setattr(event_log, "BLOCK", 3)
        monkeypatch.setattr("tempfile.TemporaryFile", full)
    elif fault == "verdict":
        monkeypatch.setattr(RunLog, "take", lambda *_: {}["no such key"])
    else:
        monkeypatch.setattr(LogStream, "start", lambda _: threading.Thread(target=print).start(1))
    run, calls = heroku.submit("slow"), []
    run.call_when_done(lambda _: 1 / 0)
    run.add_done_callback(calls.append)

    with pytest.raises(HerokuMagicError, match=r"Internal error in heroku_magic: .* was stopped\.$"):
        run.result(timeout=20)
    assert heroku.dynos() == []
    wait_for(lambda: calls == [run])
    wait_for(lambda: f"heroku-{run.id}" not in {thread.name for thread in threading.enumerate()})


def test_a_thread_that_the_system_refuses_is_the_error_of_its_run(heroku, monkeypatch):
    from heroku_magic import HerokuMagicError

    def refused(self):
        raise RuntimeError("can't start new thread")

    heroku.tasks()
    monkeypatch.setattr("threading.Thread.start", refused)
    run = heroku.submit("slow")
    monkeypatch.undo()

    with pytest.raises(HerokuMagicError, match="slow was not started: can't start new thread"):
        run.result(timeout=5)
    assert [event and event.state for event in run.events(timeout=1)] == ["requested", "failed"]
    assert heroku.dynos() == []


def test_a_state_line_after_the_end_changes_nothing(heroku):
    from heroku_magic.api.log_lines import LogLine

    run = heroku.submit("count", {"n": 1})
    run.result(30)
    run._runner._take(
        [LogLine("2126-01-01T00:00:00.000000+00:00", "heroku", run.dyno, "State changed from starting to up")]
    )

    assert run.done()
    assert run.state == "done"


def notes_of(run):
    return [event.note for event in run if isinstance(event, StateChange) and event.note]


def test_a_time_limit_is_announced_until_it_is_reached(heroku):
    from heroku_magic.display.run_view import RunView

    run, view, warning = heroku.submit(command="while true; do echo on; sleep 0.1; done", timeout=2), RunView(), False
    for event in run:
        view.feed(event)
        warning |= view.notes == ["The dyno has used 80% of its time limit of 2 s; --timeout extends it."]

    assert warning
    assert "the time limit of 2 s was reached" in view.error
    assert view.notes == []


def test_a_dyno_without_output_is_reported(heroku, monkeypatch):
    monkeypatch.setattr("heroku_magic.runs.runner.QUIET", 0.2)
    monkeypatch.setattr("heroku_magic.runs.runner.SILENCE", 0.1)

    assert any("has not printed anything" in note for note in notes_of(heroku.submit(command="sleep 1")))
    assert not notes_of(heroku.submit(command="echo something; sleep 1"))


def test_an_interrupt_of_a_wait_says_that_the_run_continues(heroku, capsys):
    run = heroku.submit(command="sleep 60")
    assert run.wait_for_dyno(20)
    threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        run.result()
    assert f"{run.id} continues. Call cancel() to stop it." in capsys.readouterr().out
    assert run.cancel()
    with pytest.raises(RunCancelled):
        run.result(30)
