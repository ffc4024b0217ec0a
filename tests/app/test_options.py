"""Each option is defined once: the signatures that show the options agree with the dataclasses that define them."""

import inspect
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest

import heroku_magic
from heroku_magic import Heroku, InvalidOptions
from heroku_magic.runs.options import (
    LISTS,
    RunOptions,
    SweepOptions,
    check_count,
    command_line,
    from_command_line,
    split,
)


def _defaults(*kinds):
    return {one.name: one.default for kind in kinds for one in fields(kind)}


def _keywords(method):
    parameters = inspect.signature(method).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


def test_submit_has_the_options_of_a_run_with_their_defaults():
    options = _defaults(RunOptions)
    del options["dry_run"]  # estimate() sets it
    assert _keywords(Heroku.submit) == options


def test_sweep_has_the_options_of_a_sweep_and_of_its_runs_with_their_defaults():
    options = _defaults(RunOptions, SweepOptions)
    del options["dry_run"], options["command"]
    assert _keywords(Heroku.sweep) == options


def test_an_executor_has_some_of_them_with_the_same_defaults():
    keywords = _keywords(Heroku.executor)
    assert keywords == {name: _defaults(RunOptions, SweepOptions)[name] for name in keywords}


@pytest.mark.parametrize("kind", [RunOptions, SweepOptions])
def test_a_command_line_option_says_how_it_is_spelled_and_what_it_does(kind):
    for name, row in command_line(kind).items():
        assert row["names"][-1].startswith("--"), name
        assert row["help"], name
        assert row["metavar"] or getattr(kind, name) in {not row.get("value", True), None}, name


def test_keyword_arguments_are_made_of_the_options_of_a_line():
    line = {"secret": ["KEY"], "rows": False, "fail_fast": True, "quiet": True}
    assert from_command_line(line, RunOptions) == {"secrets": ["KEY"], "rows": False}
    assert from_command_line(line, RunOptions, SweepOptions) == {"secrets": ["KEY"], "rows": False, "fail_fast": True}


def test_a_budget_is_one_option_of_a_run_and_of_a_sweep():
    run, sweep = split({"max_cost": 0.5, "size": "basic", "jobs": 2})
    assert (run, sweep) == (RunOptions(max_cost=0.5, size="basic"), SweepOptions(max_cost=0.5, jobs=2))
    with pytest.raises(TypeError, match=r"'sizes'\. Did you mean size\? Parameters of the task go into a dict"):
        split({"sizes": "basic"})


def test_a_parameter_among_the_options_of_a_run_is_refused_with_the_way_that_works():
    with pytest.raises(TypeError, match=r"'n'\. Parameters of the task go into a dict, such as {'n': 1}"):
        Heroku.run(SimpleNamespace(on_message=print), "task", n=1)


def test_an_option_of_sweeps_is_refused_for_a_run_with_the_method_that_takes_it():
    with pytest.raises(TypeError, match=r"argument 'zip'\. It is an option of sweep\(\)\."):
        Heroku.run(SimpleNamespace(on_message=print), "task", zip=True)


def test_a_misspelt_option_is_named_as_it_is_spelled():
    with pytest.raises(TypeError, match=r"argument 'timeot'\. Did you mean timeout\? Parameters of the task go"):
        split({"timeot": 60})


NO_LIMITS = [{"max_cost": value} for value in ("much", 0, -1, float("nan"), float("inf"), True)]
NO_TEXTS = [{name: [5]} for name in LISTS]
NO_FLAGS = [{"warm": "no"}, {"cache": 0}, {"history": None}, {"timeout": True}, {"max_age": True}]


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": 86401}, {"timeout": "5m"}, *NO_LIMITS, *NO_FLAGS, *NO_TEXTS]
)
def test_a_value_without_a_meaning_is_refused_for_a_run(options):
    with pytest.raises(InvalidOptions, match=f"{next(iter(options))} is .*: expected"):
        RunOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"jobs": 0},
            {"retries": -1},
            {"chunk": "all"},
            {"sample": 0},
            {"seed": [1]},
            {"seed": 0},
            {"retry_tasks": True},
        ),
        *({"chunk": 0}, {"chunk": None}, {"retries": None}, {"zip": "no"}, *NO_LIMITS),
    ],
)
def test_a_value_without_a_meaning_is_refused_for_a_sweep(options):
    with pytest.raises(InvalidOptions, match=next(iter(options))):
        SweepOptions(**options)


def test_retries_of_tasks_need_a_number_of_retries():
    with pytest.raises(InvalidOptions, match=r"without retries: set retries \(--retries\) to 1 or more\.$"):
        SweepOptions(retry_tasks=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_needs_a_sample(seed):
    with pytest.raises(
        InvalidOptions, match=r"^seed has no effect without sample: set sample \(--sample\) to 1 or more"
    ):
        SweepOptions(seed=seed)
    assert SweepOptions(seed=seed, sample=1).seed == seed


def test_a_chunk_is_a_number_or_auto():
    with pytest.raises(InvalidOptions, match=r"^chunk is 'all': expected a whole number of at least 1, or 'auto'\.$"):
        SweepOptions(chunk="all")


@pytest.mark.parametrize("seconds", [60, 60.5, np.int64(60), np.float32(60)])
def test_any_number_is_a_time(seconds):
    assert RunOptions(timeout=seconds).timeout == seconds


def test_scalars_of_numpy_become_those_of_python():
    options = RunOptions(timeout=np.int64(60), max_cost=np.float32(0.5), max_age=np.float64(5), size=np.str_("basic"))
    assert repr((options.timeout, options.max_cost, options.max_age, options.size)) == "(60, 0.5, 5.0, 'basic')"
    assert RunOptions(warm=np.bool_(1)).warm is True
    sweep = SweepOptions(jobs=np.int64(2), sample=np.int32(3), seed=np.int64(4), chunk=np.int64(5))
    assert repr((sweep.jobs, sweep.sample, sweep.seed, sweep.chunk)) == "(2, 3, 4, 5)"


@pytest.mark.parametrize("seconds", [0, -1, "60", 10**400, np.int64(0), np.nan])
def test_a_time_limit_out_of_range_is_refused(seconds):
    with pytest.raises(InvalidOptions, match="expected seconds from 1 to 86400"):
        RunOptions(timeout=seconds)


@pytest.mark.parametrize("name", ["secrets", "packages", "override", "inputs"])
def test_a_list_may_be_an_iterator_and_one_text_is_no_list(name):
    options = RunOptions(**{name: iter(["KEY"])})
    assert [*getattr(options, name)] == [*getattr(options, name)] == ["KEY"]
    with pytest.raises(InvalidOptions, match=rf"^{name} is 'KEY': expected a list of texts, such as \['KEY'\]\.$"):
        RunOptions(**{name: "KEY"})
    with pytest.raises(InvalidOptions, match=rf"^{name} is None: expected a list of texts, such as \['NAME'\]\.$"):
        RunOptions(**{name: None})


def test_the_lists_of_a_decorated_function_may_be_iterators():
    function = heroku_magic.function(secrets=iter(["KEY"]), size="basic")(abs)
    assert function._options == {"secrets": ("KEY",), "size": "basic"}
    with pytest.raises(InvalidOptions, match="secrets is 'KEY': expected a list"):
        heroku_magic.function(secrets="KEY")(abs)


@pytest.mark.parametrize("count", [2, np.int64(2), np.uint8(2)])
def test_a_count_of_numpy_is_one_of_python(count):
    assert type(check_count("jobs", count)) is int
    with pytest.raises(InvalidOptions, match=r"^jobs is .*: expected a whole number of at least 3\.$"):
        check_count("jobs", count, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"command": ""}, "command is '': expected a command line, such as 'python --version'."),
        ({"command": " \n"}, r"command is ' \\n': expected"),
        ({"command": "''  # later"}, "command is \"''  # later\": expected"),
        ({"command": ["ls", "-l"]}, r"command is \['ls', '-l'\]: expected"),
        ({"code": 5}, "code is 5: expected a cell's text or a function."),
    ],
)
def test_what_no_dyno_could_run_is_refused(options, message):
    with pytest.raises(InvalidOptions, match=f"^{message}"):
        RunOptions(**options)
