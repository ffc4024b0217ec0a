"""What a log says about a run, what is missing from it, and what the backlog adds."""

from __future__ import annotations

import json

import pytest
from signed_records import KEY, NONCE, end_of, record

from heroku_magic.api.log_lines import PIECE, LogLine
from heroku_magic.api.resources import Dyno, DynoRelease
from heroku_magic.protocol.records import Rows
from heroku_magic.runs import log_reader as transcript
from heroku_magic.runs.command_mark import marked
from heroku_magic.runs.log_reader import MANY, RunLog
from heroku_magic.runs.spec import RunSpec
from heroku_magic.text.secret import Secret

DYNO = Dyno("id", "run.1", "task", "2026-01-01T12:00:00Z", "starting", "Basic", "run", DynoRelease("r", 1))


def run_log(env=(), **facts):
    return RunLog(KEY, RunSpec("demo", "demo", "simulate", "task", dict(env), **facts))


@pytest.fixture
def log():
    log = run_log()
    log.begin(DYNO)
    return log


def lines(*messages, source="app", dyno="run.1", second=1):
    stamp = f"2026-01-01T12:00:{second:02}.000000+00:00"
    return [LogLine(stamp, source, dyno, message) for message in messages]


def heroku(*messages, **options):
    return lines(*messages, source="heroku", **options)


def keyed(count):
    told = [record(i, "rows", [{"i": i}]) for i in range(count)]
    return [*told, end_of(told, rows=count)]


def test_lines_become_text_records_states_and_notes(log):
    news = log.take([*heroku("State changed from starting to up"), *lines("hello", keyed(1)[0])])
    assert news.states == ["up"]
    assert [type(event).__name__ for event in news.events] == ["LogLine", "LogLine", "Rows"]

    news = log.take(heroku("Error R14 (Memory quota exceeded)", "Error R14 (Memory quota exceeded)"))
    assert [note[:3] for note in news.notes] == ["R14"]


def test_lines_of_an_older_dyno_of_the_same_name_are_ignored(log):
    old = LogLine("2026-01-01T11:59:50.000000+00:00", "app", "run.1", '{"i": 1}')

    assert log.take([old]).events == []
    assert log.decoder.parts is None


ODD = {
    "a row": lines('{"i": 1}'),
    "a record": lines(keyed(1)[0]),
    "the key": lines(f"it is {KEY.env()}"),
    "a secret": lines("it is hunter2-value"),
    "a long line": lines("x" * PIECE, "hunter2", "-value"),
    "Heroku's": heroku("State changed from starting to up"),
    "an older dyno's": [LogLine("2026-01-01T11:59:50.000000+00:00", "app", "run.1", "old")],
    "nothing": [],
}


@pytest.mark.parametrize("what", ODD)
def test_a_batch_of_lines_reads_like_its_single_lines(what):
    flood = lines(*(f"line {number}" for number in range(MANY)))
    batch = [*flood, *ODD[what], *flood]
    at_once, one_by_one = (run_log({"KEY": Secret("hunter2-value")}) for _ in range(2))
    at_once.begin(DYNO)
    one_by_one.begin(DYNO)

    news = at_once.take(batch)
    each = [one_by_one.take([line]) for line in batch]

    assert news.events == [event for one in each for event in one.events]
    assert news.states == [state for one in each for state in one.states]
    assert at_once.decoder.parts == one_by_one.decoder.parts
    assert at_once.has_printed
    assert "hunter2-value" not in str(news.events)
    assert KEY.env().partition(":")[2] not in str(news.events)


def test_a_gap_is_filled_once_it_is_no_longer_just_late(log, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(transcript.time, "monotonic", lambda: now[0])
    sent = keyed(4)
    log.take(lines(sent[0], sent[3]))
    assert not log.needs_backlog()
    now[0] += transcript.GAP
    assert log.needs_backlog()

    assert log.fill(lines(*sent[:3]), at_end=False) == [Rows([{"i": 1}]), Rows([{"i": 2}]), Rows([{"i": 3}])]
    assert log.loss_message() is None
    assert not log.needs_backlog()


def test_a_permanent_loss_is_reported_before_the_end_and_requested_once(log, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(transcript.time, "monotonic", lambda: now[0])
    sent = keyed(5)
    log.take(lines(sent[0], sent[1], sent[4]))
    log.needs_backlog()
    now[0] += transcript.GAP
    assert log.needs_backlog()
    log.fill([], at_end=False)

    assert log.loss_message() == (
        "2 lines of the result are lost and no longer in Heroku's log history, so the result will be incomplete. "
        "2 rows in the first 2 lines are safe."
    )
    now[0] += 60
    assert not log.needs_backlog()
    assert log.problem() == "records 2-3 are missing, and Heroku's log history does not contain them"


NEXT_STARTED = f"Starting process with command `{marked('task', 'hm-ffffffff')}`"
STARTED = f"Starting process with command `{marked('task', 'hm-0123abcd')}`"
UP, OVER = "State changed from starting to up", "Process exited with status 0"


def plain(*numbers):
    return lines(*(json.dumps({"i": i}) for i in numbers))


L12 = lines("Error L12: 3 messages dropped since 1.", dyno="log-shuttle")
L11 = heroku("Error L11 (Tail buffer overflow) -> This tail session dropped 5 messages since 1.", dyno="logplex")
L10 = heroku("Error L10 (output buffer overflow): drain 'd.1' dropped 9 messages since 1.", dyno="logplex")


@pytest.mark.parametrize(
    ("stream", "backlog", "problem"),
    [
        ([*heroku(STARTED), *plain(1), *L11], [*heroku(STARTED, UP), *plain(1, 2)], None),
        ([*heroku(STARTED), *plain(1), *L11, *L11], plain(2), "10 lines of its log were lost"),
        ([*heroku(STARTED), *plain(1), *L12], plain(2), "3 lines of its log were lost"),
        ([*heroku(STARTED), *plain(1), *L12], [*heroku(STARTED, UP), *plain(1), *L12], "3 lines of its log were lost"),
        ([*L12, *heroku(STARTED, second=2), *lines('{"i": 1}', second=2)], lines('{"i": 1}', second=2), None),
        ([*heroku(STARTED), *plain(1), *L10], plain(1), None),
        (plain(1), plain(1), "its log was not followed from its first line"),
        (plain(1), [*heroku(STARTED, UP), *plain(1)], None),
        ([*heroku(STARTED), *lines(*keyed(1)), *L12, *L11], [], None),
    ],
)
def test_reported_losses_of_rows_without_numbers_are_never_ignored(log, stream, backlog, problem):
    log.take(stream)
    log.fill(backlog, at_end=True)

    assert (log.problem() or "").startswith(problem or "")
    assert bool(log.problem()) == bool(problem)


SHORT = [*plain(1, 2), *heroku(OVER, "State changed from starting to complete")]
NOT_FOLLOWED = "its log was not followed from its first line"


def api(command):
    return lines(f"{command} by user me@example.com", dyno="api")


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (api(STARTED), None),
        ([], NOT_FOLLOWED),
        (api(NEXT_STARTED), NOT_FOLLOWED),
        (lines(STARTED), NOT_FOLLOWED),
        ([LogLine("2026-01-01T11:59:54.000000+00:00", "app", "api", STARTED)], NOT_FOLLOWED),
    ],
    ids=["created", "cut off", "another run", "printed", "the clocks differ"],
)
def test_a_short_run_without_a_line_of_its_start_is_complete_if_the_log_goes_back_to_its_creation(log, start, problem):
    log.take(SHORT)
    log.fill([*start, *SHORT], at_end=True)

    assert (log.problem() or "").startswith(problem or "")
    assert bool(log.problem()) == bool(problem)
    assert log.exit_status == 0


def test_a_short_run_whose_stream_was_interrupted_is_complete_if_the_log_goes_back_to_its_start(log):
    log.take([*heroku(STARTED), *plain(1), *L11])
    log.fill([*heroku(STARTED), *SHORT], at_end=True, gaps=1)

    assert log.problem() is None
    assert [row["i"] for part in log.decoder.parts for row in part.rows] == [1, 2]


def test_the_creation_alone_in_the_log_history_does_not_discard_rows(log):
    log.take(plain(1))
    log.fill(api(STARTED), at_end=True)

    assert log.decoder.parts == [Rows([{"i": 1}], verified=False)]
    assert log.problem().startswith(NOT_FOLLOWED)


def test_unreadable_reports_of_losses_make_a_long_result_doubtful(log):
    log.take([*heroku(STARTED), *plain(1)])
    log.misses_losses = True
    log.fill(plain(1), at_end=True)
    assert log.problem() == "Heroku's reports of lost lines could not be read, so rows may be missing"
    log.fill([*heroku(STARTED, UP), *plain(1)], at_end=True)
    assert log.problem() is None


def test_a_loss_is_explained_in_a_note(log):
    update = log.take([*heroku(STARTED), *L12])
    assert update.events == [*heroku(STARTED), *L12]
    assert [note[:3] for note in update.notes] == ["L12"]


@pytest.mark.parametrize(
    ("backlog", "gaps", "problem"),
    [
        ([*heroku(UP), *plain(1, 2), *heroku(OVER)], 0, None),
        ([*heroku(UP), *plain(1, 2), *heroku(OVER)], 1, None),
        ([*plain(2), *heroku(OVER)], 0, None),
        ([*plain(2), *heroku(OVER)], 1, "its log stream was interrupted"),
        (
            [*heroku(UP), *plain(1), *lines("Error L12: 3 messages dropped since 1.", dyno="log-shuttle")],
            0,
            "3 lines of",
        ),
        ([*lines("Error L12: 3 messages dropped since 1.", dyno="log-shuttle"), *heroku(UP), *plain(1)], 0, None),
        ([*plain(2), *L12], 0, "3 lines of"),
        ([*heroku(UP), *plain(1), *heroku(OVER, OVER)], 0, "Heroku ran it twice"),
        ([*heroku(UP), *lines('{"i": "' + "x" * 10_000)], 0, "1 of its rows were cut"),
    ],
)
def test_unnumbered_rows_are_complete_or_a_problem_is_reported(log, backlog, gaps, problem):
    log.take([*heroku(STARTED), *plain(1, 2)])
    log.fill(backlog, at_end=True, gaps=gaps)

    assert (log.problem() or "").startswith(problem or "")
    assert bool(log.problem()) == bool(problem)
    assert not log.decoder.is_verified


def test_the_exit_status_is_that_of_the_process_whose_rows_are_used(log):
    assert log.exit_status is None
    log.take(heroku(STARTED, STARTED))
    log.take(heroku("Process exited with status 3"))
    assert log.exit_status == 3

    log.take(lines(*keyed(2), record(0, "rows", [], nonce="00000002")))
    assert log.exit_status == 0, "the other process, of which no end is known, had the 3"


def test_the_key_is_masked_in_a_printed_environment(log):
    (event,) = log.take(lines(f"RUN_KEY={KEY.env()}")).events

    assert event.message == "RUN_KEY=hm-0123abcd:***"


def test_the_end_of_an_earlier_dyno_of_the_same_name_is_ignored(log):
    before = "2026-01-01T11:59:58.000000+00:00"
    ended = [
        LogLine(before, "heroku", "run.1", text)
        for text in ("Process exited with status 0", "State changed from up to complete")
    ]
    news = log.take(ended)
    assert news.states == []
    assert log.life.exit_status is None
    assert log.exited_at == ""
    log.fill(ended, at_end=True)
    assert log.life.exit_status is None
    log.take(heroku("Process exited with status 3", second=9))
    assert (log.life.exit_status, log.exited_at) == (3, "2026-01-01T12:00:09.000000+00:00")


def failed(nonce=NONCE, status=1):
    sent = [record(0, "rows", [{"i": 0}], nonce=nonce), record(1, "failure", FAILURE, nonce=nonce)]
    return [*sent, end_of(sent, status=status, rows=1, nonce=nonce)]


FAILURE = {"type": "ValueError", "message": "as it should"}


@pytest.mark.parametrize(
    ("sent", "shown", "status", "is_explained"),
    [
        (keyed(2), 0, 0, False),
        (keyed(2), 3, 3, True),
        (failed(), 1, 1, False),
        (failed(), 0, 1, True),
        (failed(status=143), 1, 1, True),
        (failed(status=0), 0, 0, True),
        (keyed(2), None, 0, False),
        (failed(), None, 1, False),
        (failed()[:-1], 0, None, True),
        (failed()[:-1], 1, 1, False),
        (failed()[:-1], None, None, False),
        ([], None, None, False),
    ],
)
def test_of_two_exit_statuses_the_one_that_is_not_zero_counts_and_the_difference_is_explained(
    log, sent, shown, status, is_explained
):
    log.take(
        [*heroku(STARTED), *lines(*sent), *(heroku(f"Process exited with status {shown}") if shown is not None else [])]
    )
    assert log.exit_status == status
    assert bool(log.disagreement()) == is_explained


def test_lines_of_another_dyno_never_count(log):
    other = [
        *lines('{"i": 666}', dyno="web.1"),
        *heroku("Process exited with status 0", "State changed from up to complete", dyno="web.1"),
        *lines("Error L12: 3 messages dropped since 1.", dyno="web.1"),
    ]
    assert log.take([*heroku(STARTED), *other, *other * MANY]).events == heroku(STARTED)
    log.fill([*heroku(UP), *other, *plain(1)], at_end=True)
    assert log.decoder.parts == [Rows([{"i": 1}], verified=False)]
    assert log.exit_status is None
    assert log.problem() is None


@pytest.fixture
def compound():
    log = run_log(is_compound=True)
    log.begin(DYNO)
    return log


def process(nonce, *numbers, status=0):
    sent = [record(0, "rows", [{"i": i} for i in numbers], nonce=nonce)]
    return [*sent, end_of(sent, status=status, rows=len(numbers), nonce=nonce)]


ONE, TWO = process("00000001", 1, 2), process("00000002", 3)
AT_ONCE = (
    "several of its processes sent rows at the same time, and Heroku's log history no longer shows whether one dyno "
    "ran them all or Heroku ran it twice"
)
TWICE = "Heroku ran it twice, and the processes of its command line cannot be told apart"


@pytest.mark.parametrize(
    ("backlog", "rows", "problem"),
    [
        ([*heroku(STARTED, UP), *lines(*ONE, second=2), *lines(*TWO, second=3)], [1, 2, 3], None),
        ([*heroku(STARTED, UP), *lines(*TWO, second=3), *lines(*ONE, second=2)], [1, 2, 3], None),
        ([*lines(*ONE, second=2), *lines(*TWO, second=3)], [1, 2, 3], None),
        ([*heroku(STARTED, UP), *lines(ONE[0], *TWO, ONE[1])], [1, 2, 3], None),
        ([*lines(ONE[0]), *lines(*TWO, second=2), *lines(ONE[1], second=3)], [1, 2, 3], AT_ONCE),
        ([*heroku(STARTED, UP, STARTED), *lines(*ONE, *TWO)], [1, 2], TWICE),
        ([*heroku(STARTED, UP), *lines(*ONE, TWO[0])], [1, 2, 3], "of process 2 of 2, the end record is missing"),
        ([*heroku(STARTED, UP), *lines(ONE[1], TWO[1])], [1, 2], "of process 2 of 2, records 0 are missing"),
    ],
)
def test_the_rows_of_several_processes_of_one_dyno_are_joined_in_order_or_refused(compound, backlog, rows, problem):
    compound.take(lines(ONE[0], second=2))
    assert not compound.is_complete()
    compound.take(heroku("Process exited with status 0", second=9))
    compound.fill(backlog, at_end=True)

    assert (compound.problem() or "").startswith(problem or "")
    assert bool(compound.problem()) == bool(problem)
    assert [row["i"] for part in compound.decoder.parts for row in part.rows] == rows


def test_processes_of_an_unexpectedly_compound_command_are_joined_when_the_backlog_shows_one_start(log):
    log.take([*heroku(STARTED, UP), *lines(*ONE), *lines(*TWO, second=2), *heroku(OVER, second=3)])
    assert not log.is_complete()
    log.fill([*heroku(STARTED, UP), *lines(*ONE), *lines(*TWO, second=2), *heroku(OVER, second=3)], at_end=True)
    assert log.decoder.parts == [Rows([{"i": 1}, {"i": 2}]), Rows([{"i": 3}])]
    assert log.decoder.is_verified


def shifted(old, seconds):
    """The same lines by a clock that differs."""
    from datetime import datetime, timedelta

    def moved(line):
        moment = datetime.fromisoformat(line.timestamp) + timedelta(seconds=seconds)
        return LogLine(moment.isoformat(timespec="microseconds"), line.source, line.dyno, line.message)

    return [moved(line) for line in old]


OLDER = [
    LogLine("2026-01-01T11:59:58.000000+00:00", source, "run.1", text)
    for source, text in [
        ("heroku", NEXT_STARTED),
        ("app", '{"i": 666}'),
        ("heroku", "Process exited with status 7"),
        ("heroku", "State changed from up to complete"),
    ]
]


@pytest.mark.parametrize("seconds", [-3600, -300, -6, -4, -2, -0.5, 0, 3, 300, 3600])
@pytest.mark.parametrize("older", [[], OLDER])
@pytest.mark.parametrize("is_reordered", [False, True])
def test_a_log_whose_clock_differs_from_that_of_the_api_loses_nothing_and_adds_nothing(
    log, seconds, older, is_reordered
):
    ours = [*heroku(STARTED), *heroku(UP), *plain(1, 2), *heroku("Process exited with status 3", second=5)]
    if is_reordered:
        ours = [*ours[1:3], ours[0], *ours[3:]]
    for line in shifted([*older, *ours], seconds):
        log.take([line])
    rows = [row["i"] for part in log.decoder.parts for row in part.rows]
    assert log.exit_status == 3
    log.fill(shifted([*older, *sorted(ours, key=lambda line: line.timestamp)], seconds), at_end=True)
    assert [row["i"] for part in log.decoder.parts for row in part.rows] == [1, 2]
    assert log.exit_status == 3
    assert log.problem() is None
    assert is_reordered or rows == [1, 2]


def test_authentic_records_need_no_clock(log):
    log.take(shifted([*lines(*keyed(3))], -3600))
    assert log.decoder.is_verified
    assert log.exit_status == 0


def test_lines_of_the_next_dyno_that_were_read_first_are_taken_back(log):
    later = [
        *heroku(NEXT_STARTED, UP, second=3),
        *lines('{"i": 2}', second=4),
        *heroku("Process exited with status 9", second=5),
    ]
    log.take(later)
    log.fill([*heroku(STARTED, UP), *plain(1), *heroku(OVER, second=2), *later], at_end=True)
    assert log.exit_status == 0
    assert log.decoder.parts == [Rows([{"i": 1}], verified=False)]
    assert log.problem() is None


def test_lines_of_the_next_dyno_of_the_same_name_are_ignored(log):
    log.take([*heroku(STARTED, UP), *plain(1), *heroku(OVER, second=2)])
    log.take(
        [
            *heroku(NEXT_STARTED, second=3),
            *lines('{"i": 2}', second=4),
            *heroku("Process exited with status 9", second=5),
        ]
    )
    assert log.exit_status == 0
    assert log.decoder.parts == [Rows([{"i": 1}], verified=False)]


@pytest.mark.parametrize(
    ("live", "problem"),
    [
        (["Process exited with status 0"], "its log was not followed from its first line"),
        ([STARTED, "Process exited with status 0"], "nothing that heroku_task sends has arrived"),
    ],
)
def test_lost_lines_are_named_before_a_line_that_redirects_its_output_is_suspected(live, problem):
    log = run_log(sends_records=True)
    log.begin(DYNO)
    log.take(heroku(*live))
    assert problem in log.problem()
