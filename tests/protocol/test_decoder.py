"""Decoding log lines gives the exact result whatever happens to the lines, and trusts only signed records."""

from __future__ import annotations

import json
import math
import pickle
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_records import KEY, NONCE, SECRET, end_of, record

from heroku_magic.protocol.decoder import RecordDecoder
from heroku_magic.protocol.records import (
    Declaration,
    Failure,
    Metric,
    Progress,
    Rows,
    RunKey,
    SourceFrame,
    hide_keys,
)
from heroku_magic.text.redact import CLIPPED, Mask
from heroku_magic.text.secret import Secret


def rows_of(decoder):
    parts = decoder.parts
    return None if parts is None else [row for part in parts for row in part.rows]


def result_of(rows, *, nonce=NONCE, start=0):
    """The messages of a task that sends each row in a separate record."""
    lines = [record(0, "task", {"task": "t", "parameters": None}, nonce=nonce)]
    lines += [record(i, "rows", [row], nonce=nonce) for i, row in enumerate(rows, 1)]
    return [*lines, end_of(lines, rows=len(rows), nonce=nonce)]


def read(messages):
    decoder = RecordDecoder(KEY)
    records = [record for message in messages for record in decoder.feed(message)[1]]
    return decoder, records


def test_each_kind_of_record_is_decoded_completely():
    failure = {
        "type": "ValueError",
        "message": "bad",
        "frames": [{"file": "t.py", "line": 3, "function": "t", "source": [[3, "  raise"]]}],
        "missing": None,
        "traceback": "Traceback …",
    }
    lines = [
        record(0, "task", {"task": "t", "parameters": {"type": "object"}}),
        record(1, "rows", [{"a": 1}, {"a": None}]),
        record(2, "progress", {"done": 1, "total": 2, "text": None}),
        record(3, "metric", {"name": "loss", "value": 0.5, "step": 7}),
        record(4, "failure", failure),
    ]
    end = end_of(lines, 1, 2)
    decoder, records = read([*lines, end])

    assert records == [
        Declaration("t", {"type": "object"}),
        Rows([{"a": 1}, {"a": None}]),
        Progress(1, 2),
        Metric("loss", 0.5, 7),
        Failure("ValueError", "bad", [SourceFrame("t.py", 3, "t", [(3, "  raise")])], None, "Traceback …"),
        decoder.end,
    ]
    assert rows_of(decoder) == [{"a": 1}, {"a": None}]
    assert decoder.is_verified
    assert (decoder.end.status, decoder.end.rows) == (1, 2)


def test_text_before_a_record_on_its_line_remains_in_the_log():
    decoder = RecordDecoder(KEY)

    assert decoder.feed("half a line" + record(0, "rows", [])) == ("half a line", [Rows([])])
    assert decoder.feed(record(1, "rows", []))[0] is None


def test_a_record_in_parts_is_joined():
    text = json.dumps([{"long": "x" * 9000}])
    parts = [text[:4000], text[4000:8000], text[8000:]]

    decoder, _ = read([record(0, "rows+", parts[0]), record(1, "rows+", parts[1]), record(2, "rows", parts[2])])

    assert rows_of(decoder) == [{"long": "x" * 9000}]


@pytest.mark.parametrize(
    "forged",
    [
        record(1, "rows", [{"forged": 1}], key=b"k" * 32),
        record(1, "rows", [{"replayed": 1}], run="hm-ffffffff"),
        record(1, "rows", [{"a": 1}]).replace('"a":1', '"a":2'),
        "@hm1 ",
        "@hm1 zzz",
        record(1, "rows", [{"a": 1}])[:-3],
    ],
)
def test_a_record_not_signed_with_the_key_is_only_log(forged):
    decoder, records = read([record(0, "task", {"task": "t"}), forged])

    assert records == [Declaration("t")]
    assert (decoder.parts, decoder.is_verified) == (None, False)


def test_a_plain_json_object_is_a_row_until_a_signed_record_arrives():
    decoder, records = read(['{"a": 1}', "[1]", '{"broken": ', "text", '{"a": 2}'])
    assert [one.rows for one in records] == [[{"a": 1}], [{"a": 2}]]
    assert (rows_of(decoder), decoder.is_verified) == ([{"a": 1}, {"a": 2}], False)

    decoder.feed(record(0, "rows", [{"b": 1}]))
    assert decoder.feed('{"a": 3}') == ('{"a": 3}', [])
    assert rows_of(decoder) == [{"b": 1}]


def test_a_byte_order_mark_before_the_first_row_hides_no_row():
    decoder, _ = read(['\ufeff{"a": 1}\r', '{"a": 2}\r'])

    assert rows_of(decoder) == [{"a": 1}, {"a": 2}]


def test_deeply_nested_json_breaks_nothing():
    _, records = read(['{"a":' * 100_000 + "1" + "}" * 100_000])

    assert records == []


def test_a_newer_version_is_reported_and_not_decoded():
    decoder, records = read([record(0, "rows", [{"a": 1}], version=2)])

    assert records == []
    assert "version 2 of the protocol: upgrade heroku-magic" in decoder.problem()


def test_nan_and_infinity_survive():
    decoder, _ = read([record(0, "rows", [{"x": math.nan, "y": math.inf}])])

    (row,) = rows_of(decoder)
    assert math.isnan(row["x"])
    assert row["y"] == math.inf


def test_a_gap_is_reported_by_number_and_filled_by_a_late_line():
    lines = result_of([{"i": i} for i in range(5)])
    decoder, _ = read([*lines[:2], *lines[4:]])

    assert decoder.missing() == [(2, 3)]
    assert decoder.end is None

    decoder.feed(lines[3])
    decoder.feed(lines[2])
    assert decoder.missing() == []
    assert (rows_of(decoder), decoder.is_verified) == ([{"i": i} for i in range(5)], True)


def test_a_dyno_started_twice_yields_the_result_of_one_process():
    first, second = result_of([{"i": 1}, {"i": 2}]), result_of([{"i": 1}, {"i": 2}], nonce="00000002")
    decoder, records = read([first[0], first[1], *second])

    assert (rows_of(decoder), decoder.is_verified) == ([{"i": 1}, {"i": 2}], True)
    assert records == [Declaration("t"), Rows([{"i": 1}])], "only the first process's records are events"


def test_a_payload_of_the_wrong_shape_is_reported_by_record_number():
    lines = [record(0, "rows", {"no": "list"})]
    decoder, _ = read([*lines, end_of(lines, rows=1)])

    assert decoder.problem() == "records 0 cannot be read"


def test_the_key_appears_only_in_the_environment():
    assert SECRET.hex() not in repr(KEY) + str(KEY)
    assert KEY.env() == f"hm-0123abcd:{SECRET.hex()}"
    assert RunKey.new().env() != RunKey.new().env()
    assert SECRET.hex() not in repr(vars(KEY))
    assert repr(SECRET) not in repr(vars(KEY))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(KEY)


def test_the_key_is_masked_in_rows_as_in_text():
    rows = [{"env": f"RUN_KEY={KEY.env()}", KEY.env().upper(): [{"k": KEY.env()}], "n": 1}]
    masked = [{"env": "RUN_KEY=hm-0123abcd:***", "HM-0123ABCD:***": [{"k": "hm-0123abcd:***"}], "n": 1}]
    plain, _ = read([json.dumps(rows[0])])
    signed, _ = read(result_of(rows))

    assert rows_of(plain) == masked
    assert rows_of(signed) == masked
    assert hide_keys(f"RUN_KEY={KEY.env()} hm-0123abcd:12") == "RUN_KEY=hm-0123abcd:*** hm-0123abcd:12"


@pytest.mark.parametrize(
    "write",
    [
        lambda key: b64encode(f"RUN_KEY={key}".encode()).decode(),
        lambda key: key.encode().hex(" ").upper(),
        lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    ],
)
def test_the_key_is_masked_in_rows_however_it_is_written(write):
    rows = [{"env": write(SECRET.hex()), "n": 1}]

    for lines in ([json.dumps(rows[0])], result_of(rows)):
        (row,) = rows_of(read(lines)[0])
        assert row["n"] == 1
        assert "***" in row["env"]
        assert len(row["env"]) < len("UlVOX0tFWT0*** ***")


def test_the_key_is_masked_in_printed_rows_with_colours():
    text = f"\x1b[1mRUN_KEY\x1b[0m={SECRET.hex()[:9]}\x1b[31m{SECRET.hex()[9:]}"

    assert rows_of(read([json.dumps({"env": text})])[0]) == [{"env": "RUN_KEY=***"}]


@pytest.mark.parametrize("hidden", ["hunter2-hunter2", SECRET.hex(), f"{'0' * 24}\nhunter2"])
def test_an_end_record_holds_nothing_but_numbers(hidden):
    decoder = RecordDecoder(KEY, Mask([Secret("hunter2")]))
    taken = decoder.feed(record(0, "end", {"status": 0, "rows": 0, "checksum": hidden}))
    assert (taken, decoder.end) == ((None, []), None)


def test_a_secret_that_the_helper_cut_is_masked_in_a_failure():
    text = f"bad hunter2-hun{CLIPPED}unter2-hunter2 again"
    frame = {"file": "t.py", "line": 1, "function": "f", "source": [(1, "x" * 291 + "hunter2-h"), (2, "hunter2")]}
    failure = {"type": "ValueError", "message": text, "frames": [frame], "traceback": text}
    decoder = RecordDecoder(KEY, Mask([Secret("hunter2-hunter2")]))
    decoder.feed(record(0, "failure", failure))

    assert decoder.failure.message == decoder.failure.traceback == f"bad ***{CLIPPED}*** again"
    assert decoder.failure.frames[0].source == [(1, "x" * 291 + "***"), (2, "hunter2")]


@pytest.mark.large
@given(st.integers(0, 12), st.randoms(use_true_random=False))
def test_reordered_and_duplicated_lines_give_the_exact_rows(count, random):
    rows = [{"i": i} for i in range(count)]
    lines = result_of(rows)
    shuffled = lines + random.choices(lines, k=len(lines))
    random.shuffle(shuffled)

    decoder, records = read(shuffled)

    assert (rows_of(decoder), decoder.is_verified) == (rows or None, True)
    assert [one.rows[0] for one in records if isinstance(one, Rows)] == rows


@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_a_lost_line_never_passes_for_a_complete_result(count, random):
    lines = result_of([{"i": i} for i in range(count)])
    lost = random.randrange(len(lines))
    decoder, _ = read(lines[:lost] + lines[lost + 1 :])

    assert not decoder.is_verified
    assert decoder.end is None


@pytest.mark.large
@given(
    st.lists(st.integers(), max_size=8),
    st.lists(st.text(max_size=30) | st.just('{"a": 1}'), max_size=6),
    st.randoms(use_true_random=False),
)
def test_loss_duplication_reordering_noise_and_forgery_never_give_a_wrong_result(values, noise, random):
    rows = [{"i": value} for value in values]
    lines = result_of(rows)
    forged = [line.replace("0", "1") for line in lines] + [line[: random.randrange(len(line))] for line in lines]
    replayed = [record(1, "rows", [{"i": "replayed"}], run="hm-ffffffff")]
    prefixed = [random.choice(noise or [""]) + line if random.random() < 0.3 else line for line in lines]
    kept = [line for line in prefixed if random.random() < 0.9]
    messages = kept + random.choices(kept or [""], k=3) + forged + replayed + noise
    random.shuffle(messages)

    decoder, _ = read(messages)
    if decoder.is_signed and decoder.problem() is None:
        assert rows_of(decoder) == (rows or None)
    elif decoder.is_signed:
        assert not decoder.is_verified


@pytest.mark.large
@given(st.lists(st.none() | st.integers(0, 4), max_size=12), st.randoms(use_true_random=False))
def test_rows_are_assigned_to_the_calls_that_sent_them_however_they_are_batched(counts, random):
    lines, waiting, returns, sent = [record(0, "task", {"task": "t", "parameters": None})], [], [], 0

    def flush():
        if waiting:
            lines.append(record(len(lines), "rows", [*waiting]))
        if returns:
            lines.append(record(len(lines), "return", [*returns]))
        waiting.clear(), returns.clear()

    for call, count in enumerate(counts):
        for row in range(count or 0):
            waiting.append({"call": call, "row": row})
            if random.random() < 0.3:
                flush()
        returns.append({"call": call, "status": 0, "rows": count, "seconds": 0.5})
        sent += count or 0
        if random.random() < 0.3:
            flush()
    flush()
    decoder, _ = read([*lines, end_of(lines, rows=sent)])
    assert decoder.is_verified
    found = [
        None if call.parts is None else [row for part in call.parts for row in part.rows] for call in decoder.calls
    ]
    assert found == [
        None if count is None else [{"call": call, "row": row} for row in range(count)]
        for call, count in enumerate(counts)
    ]


def test_calls_out_of_order_are_rejected():
    lines = [record(0, "task", {"task": "t", "parameters": None})]
    lines.append(record(1, "return", [{"call": 1, "status": 0, "rows": None, "seconds": 0}]))
    decoder, _ = read([*lines, end_of(lines)])
    assert decoder.calls == []
    assert "records 1 cannot be read" in decoder.problem()


@pytest.mark.parametrize(
    "text", ["@hm2 x", "@hm\u0662 x", "@hm" + "9" * 5000 + " x", "@hm1 ", record(0, "rows", [], version=2)]
)
def test_text_that_only_looks_like_a_record_does_not_affect_the_result(text):
    lines = result_of([{"i": 0}])
    decoder, _ = read([lines[0], text, lines[1], text, lines[2]])
    assert decoder.is_verified

    decoder, _ = read([text + line for line in lines])
    assert decoder.is_verified


def test_the_failure_of_a_call_is_not_the_failure_of_the_run():
    returned = {"returns": [{"call": 0, "status": 1, "rows": None, "seconds": 1.0}]}
    failure = {"type": "ValueError", "message": "bad"}
    lines = [record(0, "task", {"task": "t"}), record(1, "failure", failure), record(2, "return", returned["returns"])]
    decoder, _ = read(lines)
    assert decoder.calls[0].failure.message == "bad"
    assert decoder.failure is None
    decoder.feed(record(3, "failure", {"type": "Terminated", "message": "SIGTERM"}))
    assert decoder.failure.type == "Terminated"
