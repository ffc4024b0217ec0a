"""A value over 1 MB is sent to a warm dyno once, and each call gets a copy of its own."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest

from heroku_magic import TaskFailed, connect
from heroku_magic.platform_facts.dyno_sizes import memory_bytes
from heroku_magic.warm import uplink
from heroku_magic.warm.rendezvous import DynoConnection

SIZE = 2_000_000  # bytes, which Base64 makes 2.7 MB


@pytest.fixture(scope="module")
def heroku(packed):
    heroku = connect(worker=packed, say=lambda _: None)
    heroku.warm(1)
    yield heroku
    heroku.warm(0)


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of what is sent to dynos."""
    sizes, send = [], DynoConnection.send
    monkeypatch.setattr(DynoConnection, "send", lambda self, data: (sizes.append(len(data)), send(self, data)))
    return sizes


def random_array(seed):
    return np.random.default_rng(seed).integers(0, 1 << 62, SIZE // 8)


def total_and_zero(array, offset=0):
    total = int(array[offset:].sum())
    array[:] = 0
    return total


def overwrite_files_and_kill_the_parent(array):
    import contextlib
    import os
    import signal

    for file in range(3, 64):
        with contextlib.suppress(OSError):
            os.pwrite(file, bytes(16), 0)
    os.kill(os.getppid(), signal.SIGKILL)
    return int(array.sum())


def copies(sizes):
    """How many random arrays were sent, about."""
    found, sizes[:] = round(sum(sizes) / (SIZE * 4 / 3)), []
    return found


def test_each_dyno_gets_an_array_once_and_each_call_gets_it_unchanged(heroku, sizes):
    array = random_array(0)
    with heroku.pool(jobs=2) as pool:
        totals = list(pool.map(total_and_zero, [array] * 12, range(12)))
        assert totals == [int(array[offset:].sum()) for offset in range(12)]
        assert 1 <= copies(sizes) <= 2
        array[0] += 1  # which makes it another one
        assert pool.submit(total_and_zero, array).result() == int(array.sum())
        assert copies(sizes) == 1


def test_a_new_dyno_gets_the_array_anew(heroku, sizes):
    array = random_array(7)
    with heroku.pool(jobs=1) as pool:
        assert pool.submit(total_and_zero, array).result() == int(array.sum())
        for dyno in heroku.warm():
            dyno.cancel()
        assert pool.submit(total_and_zero, array).result() == int(array.sum())
    assert copies(sizes) == 2


def test_values_of_every_kind_are_shared(heroku, sizes):
    frame = pd.DataFrame(random_array(1).reshape(-1, 10))
    values = {
        "table": frame,
        "inside": [{"deep": np.asfortranarray(random_array(2).reshape(-1, 5))}],
        "bytes": random_array(3).tobytes(),
        "text": random_array(4).tobytes().hex()[:SIZE],
        "twice": [random_array(5), random_array(5)],
        "texts": random_array(6).astype(str),
        "objects": pd.DataFrame({"name": [*map(str, random_array(7))], "item": [(n,) for n in range(SIZE // 8)]}),
    }

    def check(values, small):
        first, second = values["twice"]
        first[:] = 0
        inside = values["inside"][0]["deep"]
        return (
            int(values["table"].sum().sum()),
            (inside.flags.f_contiguous, inside.flags.writeable, int(inside.sum())),
            (len(values["bytes"]), values["text"][-5:]),
            int(second.sum()),
            [str(values["texts"][-1]), str(values["texts"].dtype), values["objects"].iloc[-1].tolist()],
            small.tolist(),
        )

    expected = (
        int(frame.sum().sum()),
        (True, True, int(values["inside"][0]["deep"].sum())),
        (SIZE, values["text"][-5:]),
        int(values["twice"][1].sum()),
        [str(random_array(6)[-1]), str(values["texts"].dtype), [str(random_array(7)[-1]), (SIZE // 8 - 1,)]],
        [1, 2],
    )
    with heroku.pool(jobs=1) as pool:
        assert pool.submit(check, values, np.array([1, 2])).result() == expected
        assert 5 <= copies(sizes) <= 15  # texts shrink
        values["table"] = frame.copy()
        assert pool.submit(check, values, np.array([1, 2])).result() == expected
        assert copies(sizes) == 0


def test_a_call_can_neither_change_the_value_nor_make_the_dyno_forget_it(heroku, sizes):
    array = random_array(16)
    with heroku.pool(jobs=1) as pool:
        with contextlib.suppress(TaskFailed):  # unless it reports before the front has noticed
            pool.submit(overwrite_files_and_kill_the_parent, array).result()
        assert pool.submit(total_and_zero, array).result() == int(array.sum())
    assert copies(sizes) == 1


def test_a_cell_and_a_task_share_values_with_functions(heroku, sizes):
    array = random_array(6)
    for factor in range(3):
        row = heroku.run(
            code="[{'n': int(array.sum()) * factor}]", parameters={"array": array, "factor": factor}, warm=True
        )
        assert row["n"].tolist() == [int(array.sum()) * factor]
    assert heroku.function(total_and_zero, warm=True).remote(array) == int(array.sum())
    assert copies(sizes) == 1


def test_a_dyno_drops_the_values_that_were_not_used_for_the_longest_time(heroku, sizes, monkeypatch):
    monkeypatch.setattr(uplink, "KEPT_SHARE", (2 * SIZE + 1000) / memory_bytes("eco"))
    one, two, three = map(random_array, (8, 9, 10))
    heroku.warm(0)
    with heroku.pool(jobs=1) as pool:

        def sent_for(*arrays):
            totals = list(pool.map(lambda arrays: [int(each.sum()) for each in arrays], [arrays]))
            assert totals == [[int(each.sum()) for each in arrays]]
            return copies(sizes)

        assert [sent_for(one), sent_for(two), sent_for(one), sent_for(three)] == [1, 1, 0, 1]
        assert [sent_for(one), sent_for(two)] == [0, 1]
        assert [sent_for(one, two, three), sent_for(three), sent_for(one)] == [1, 0, 1]  # all three exceed the limit


def test_a_value_whose_transfer_was_cancelled_is_sent_in_full_by_the_next_call(heroku, sizes, monkeypatch):
    array = np.concatenate([random_array(seed) for seed in range(11, 16)])
    usual, runs = uplink.Uplink._send_piece, []

    def cancel_then_send(self, *args):
        if runs and sum(sizes) > SIZE:
            runs.pop().cancel()
        return usual(self, *args)

    monkeypatch.setattr(uplink.Uplink, "_send_piece", cancel_then_send)
    function = heroku.function(total_and_zero, warm=True)
    runs.append(run := function.submit(array))
    run.wait(60)
    assert run.cancelled()
    assert function.remote(array) == int(array.sum())
    assert function.remote(array) == int(array.sum())
    assert copies(sizes) in (6, 7)  # of 5, the first transfer has sent 1
