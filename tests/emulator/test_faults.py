"""When faults strike, and which settings of faults and timings are valid."""

from __future__ import annotations

import pytest

from heroku_magic.emulator.faults import FAULTS, Faults
from heroku_magic.emulator.timings import TIMINGS, Timings, with_setting


def test_the_same_seed_gives_the_same_faults_in_any_order():
    one, other = Faults(7), Faults(7)
    for faults in (one, other):
        faults.set("drop-lines", "0.5")
    keys = [(dyno, line) for dyno in range(3) for line in range(100)]
    struck = {key: one.strikes("drop-lines", *key) for key in keys}
    assert {key: other.strikes("drop-lines", *key) for key in reversed(keys)} == struck
    assert 100 < sum(struck.values()) < 200
    one.replace({"drop-lines": 0.5}, 8)
    assert {key: one.strikes("drop-lines", *key) for key in keys} != struck


def test_a_fault_that_is_off_never_strikes_and_a_certain_one_always_does():
    faults = Faults()
    assert not any(faults.strikes("html-503") for _ in range(100))
    faults.set("html-503", "1")
    assert all(faults.strikes("html-503") for _ in range(100))
    faults.set("html-503", "0")
    assert not faults.strikes("html-503")
    assert faults.values == {}


def test_a_count_strikes_as_many_times_per_key():
    faults = Faults()
    faults.set("dyno-not-visible", "2")
    assert [faults.takes("dyno-not-visible", "a") for _ in range(4)] == [True, True, False, False]
    assert faults.takes("dyno-not-visible", "b")
    assert not faults.takes("conflict-after-release", "a")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("drop-line", "0.1", "not a fault. Choose one of slow-boot"),
        ("drop-lines", "1.1", "a probability from 0 to 1"),
        ("drop-lines", "many", "not a number"),
        ("drop-lines", "nan", "not a number"),
        ("slow-boot", "-1", "not a number of at least 0"),
        ("dyno-not-visible", "0.5", "a whole number"),
    ],
)
def test_an_invalid_setting_reports_what_was_expected(name, text, words):
    faults = Faults()
    with pytest.raises(ValueError, match=words):
        faults.set(name, text)
    with pytest.raises(ValueError, match=words):
        faults.replace({"rate-limit": 1, name: text}, 1)
    assert faults.values == {}


def test_the_clock_may_be_behind():
    faults = Faults()
    faults.set("clock-skew", "-5")
    assert faults["clock-skew"] == -5


def test_every_planned_fault_exists():
    assert len(FAULTS) == 37


@pytest.mark.parametrize("setting", ["boots=1", "boot", "boot=", "boot=-1", "boot=inf"])
def test_an_invalid_time_reports_what_was_expected(setting):
    with pytest.raises(ValueError, match=r"boot"):
        with_setting(Timings(), setting)


def test_a_time_is_changed():
    assert with_setting(Timings(), "attach-idle=0.5").attach_idle == 0.5
    assert Timings().grace == 30
    assert "grace" in TIMINGS
