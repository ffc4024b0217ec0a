"""Every error survives `pickle` and `copy` with its text, its cause and its facts."""

from __future__ import annotations

import builtins
import copy
import importlib
import pickle
import pkgutil
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import heroku_magic
from heroku_magic import errors
from heroku_magic.errors import (
    ApiError,
    BuildFailed,
    DeployRefused,
    HerokuMagicError,
    InvalidOptions,
    InvalidParameters,
    NotFound,
    RateLimited,
    TaskFailed,
    Unreachable,
)
from heroku_magic.runs.typed_failure import failure_of_type
from heroku_magic.text.secret import Secret


class ARun:
    """A run that cannot be pickled, as it has a lock."""

    def __init__(self):
        self.lock = threading.Lock()

    def snapshot(self):
        return ("what is known",)


def kinds():
    """All classes of errors, with those that are private to a module."""
    for module in pkgutil.walk_packages(heroku_magic.__path__, "heroku_magic."):
        if not module.name.startswith(("heroku_magic.emulator", "heroku_magic.bundle.remote")):
            importlib.import_module(module.name)
    found, rest = [], [HerokuMagicError]
    while rest:
        found.append(rest.pop())
        rest += [kind for kind in found[-1].__subclasses__() if kind.__module__.startswith("heroku_magic")]
    return found


def example(kind):
    """An error of a class, with all the facts that it may carry."""
    if issubclass(kind, errors._ListsIssues):
        error = kind(["n is a text: expected a number.", "k is missing."])
    elif issubclass(kind, (errors._RunError, errors.SweepFailed)):
        error = kind("The task failed.", ARun())
    elif issubclass(kind, BuildFailed):
        error = kind("The build failed.", "-----> Python\n ! Push rejected")
    elif issubclass(kind, ApiError):
        error = kind("Not possible.", status=422, id="invalid_params", request_id="0a1b")
        error.retry_after, error.sent, error.resource = 7.5, False, "dyno"
    else:
        error = kind("A line\nand another")
    error.verbose = True
    error.__notes__ = ["in combination 3"]
    error.__cause__ = ValueError("the first reason")
    return error


def facts(error):
    known = {name: value for name, value in vars(error).items() if name not in {"run", "sweep"}}
    return type(error), str(error), error.args, known, repr(error.__cause__), error.__suppress_context__


def carried(error):
    return [getattr(error, name) for name in ("run", "sweep") if hasattr(error, name)]


KINDS = kinds()
BUILT_IN = [one for one in vars(builtins).values() if isinstance(one, type) and issubclass(one, Exception)]


def test_all_classes_of_errors_are_tried():
    public = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HerokuMagicError)}

    assert public < set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickle(kind, protocol):
    error = example(kind)
    again = pickle.loads(pickle.dumps(error, protocol))

    assert facts(again) == facts(error)
    assert carried(again) == [one.snapshot() for one in carried(error)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_an_error_has_its_facts_and_its_run(kind, copied):
    error = example(kind)
    again = copied(error)

    assert again is not error
    assert facts(again) == facts(error)
    assert carried(again) == carried(error)


def _needs_more_than_a_message(kind):
    try:
        kind("text")
    except TypeError:
        return True
    return kind is StopIteration  # it would end an `await`


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_failure_of_a_built_in_type_survives_pickle_and_copy(kind):
    error = failure_of_type(kind, TaskFailed("The task failed.", ARun()))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert isinstance(again, kind) or _needs_more_than_a_message(kind)
        assert facts(again) == facts(error)


def test_a_failure_of_a_type_that_needs_more_than_a_message_has_the_type_below_it():
    error = failure_of_type(UnicodeDecodeError, TaskFailed("The task failed.", ARun()))
    assert isinstance(error, UnicodeError)
    assert not isinstance(error, UnicodeDecodeError)


def test_a_deep_copy_shares_no_list_with_its_original():
    error = DeployRefused(["a is a link.", "b is a link."])
    again = copy.deepcopy(error)
    again.issues.append("c is a link.")

    assert error.issues == ["a is a link.", "b is a link."]


def test_an_error_without_a_cause_has_none_after_a_pickle():
    again = pickle.loads(pickle.dumps(InvalidOptions("--jobs needs a number.")))

    assert (again.__cause__, again.__suppress_context__) == (None, False)


def test_an_error_that_hides_its_context_hides_it_after_a_pickle():
    error = NotFound("gone")
    error.__suppress_context__ = True

    assert pickle.loads(pickle.dumps(error)).__suppress_context__


class NeedsTwo(Exception):
    """An exception of some library that cannot be unpickled."""

    def __init__(self, name, number):
        super().__init__(f"{name} {number}")


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (NeedsTwo("bolt", 7), "RuntimeError('NeedsTwo: bolt 7')"),
        (OSError(threading.Lock()), "RuntimeError('OSError: <unlocked"),
        (Unreachable("no connection", status=503), "Unreachable('no connection')"),
    ],
)
def test_a_cause_that_cannot_be_pickled_is_kept_as_text(cause, shown):
    error = InvalidParameters(["n is missing."])
    error.__cause__ = cause
    again = pickle.loads(pickle.dumps(error))

    assert repr(again.__cause__).startswith(shown)
    assert str(again) == "n is missing."


def test_an_error_that_carries_a_secret_is_not_pickled():
    error = RateLimited("busy")
    error.token = Secret("hunter2")

    with pytest.raises(TypeError, match="Secret cannot be pickled"):
        pickle.dumps(error)
    assert copy.deepcopy(error).token.reveal() == "hunter2"


def fail(index):
    raise example(KINDS[index])


def test_an_error_reports_the_same_after_a_process_pool(processes):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for index, kind in enumerate(KINDS):
            error, again = example(kind), pool.submit(fail, index).exception()
            assert facts(again)[:4] == facts(error)[:4]
            assert "the first reason" in str(again.__cause__)  # the pool's own cause shows the whole chain
