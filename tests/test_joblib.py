"""joblib's backend: `Parallel` and what scikit-learn builds on it run on warm dynos, unchanged."""

from __future__ import annotations

import copy
import platform
import sysconfig
import time

import pytest

from heroku_magic import Secret, TaskFailed, connect, get_run, history
from heroku_magic.app.emulator_process import embedded
from heroku_magic.errors import InvalidOptions, InvalidParameters
from heroku_magic.ledger import location
from heroku_magic.protocol import call_value

joblib = pytest.importorskip("joblib")
from heroku_magic import joblib as backend  # noqa: E402 - it needs joblib


@pytest.fixture
def heroku(packed):
    backend.register_heroku()
    heroku = connect(worker=packed, say=lambda _: None)
    yield heroku
    heroku.warm(0)


@pytest.fixture
def two_dynos(heroku, packed):
    with joblib.parallel_config(backend="heroku", n_jobs=2, worker=str(packed)):
        yield


class Point:
    def __init__(self, x):
        self.x = x


def test_only_results_that_need_it_are_unpickled(two_dynos, monkeypatch):
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    pickles, unpickle = [], call_value._unpickle
    monkeypatch.setattr(call_value, "_unpickle", lambda data: (pickles.append(len(data)), unpickle(data))[1])
    frame = pandas.DataFrame({"a": [1.5, None]}, index=["x", "y"])
    values = [numpy.arange(3), frame, {"$": "pickle", "v": "AA=="}, (1, "é"), Point(4)]
    results = joblib.Parallel(batch_size=5)(joblib.delayed(copy.copy)(value) for value in values)
    assert results[0].tolist() == [0, 1, 2]
    pandas.testing.assert_frame_equal(results[1], frame)
    assert results[2:4] == values[2:4]
    assert (type(results[4]), results[4].x, len(pickles)) == (Point, 4, 1)


class Overheated(ValueError):
    pass


def overheat():
    raise Overheated("too hot")


def test_values_of_any_type_come_back_in_order_and_each_parallel_is_an_entry_of_the_history(
    two_dynos, tmp_path, monkeypatch
):
    monkeypatch.setattr(location, "start_folder", lambda: tmp_path)
    assert joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(40)) == [n * n for n in range(40)]
    points = joblib.Parallel()(joblib.delayed(Point)(n) for n in range(3))
    assert [(type(point), point.x) for point in points] == [(Point, 0), (Point, 1), (Point, 2)]
    results = joblib.Parallel(return_as="generator")(joblib.delayed(abs)(-n) for n in range(3))
    assert next(results) == 0
    assert list(results) == [1, 2]
    entries = history("joblib")
    assert (len(entries), entries["failed"].tolist(), entries["error"].isna().all()) == (3, [0, 0, 0], True)
    assert get_run(-1).partial.columns.tolist() == ["function", "calls", "failed", "seconds"]


def test_an_exception_comes_as_text_of_its_builtin_type_and_ends_the_other_calls(two_dynos):
    with pytest.raises(ZeroDivisionError, match="by zero"):
        joblib.Parallel()(joblib.delayed(divmod)(1, n % 2) for n in range(10))
    with pytest.raises(TaskFailed, match="Overheated: too hot") as failure:
        joblib.Parallel()([joblib.delayed(overheat)()])
    assert type(failure.value) is TaskFailed
    assert 'raise Overheated("too hot")' in str(failure.value)
    assert str(failure.value).count("→") == 1
    assert joblib.Parallel()([joblib.delayed(abs)(-1)]) == [1]


def test_a_batch_that_cannot_be_sent_ends_the_work_also_after_others(two_dynos):
    arguments = [1] * 10 + [(one for one in [])]
    with pytest.raises(InvalidParameters, match="generator cannot be pickled"):
        joblib.Parallel(batch_size=1)(joblib.delayed(str)(one) for one in arguments)


def test_parallel_calls_may_be_nested(two_dynos):
    def total(n):
        return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-k) for k in range(n)))

    assert joblib.Parallel()(joblib.delayed(total)(n) for n in range(4)) == [0, 0, 1, 3]


def test_arrays_come_back_changed_and_the_one_here_stays_as_it_was(two_dynos):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(200_000.0).reshape(2, -1)

    def double(array):
        array *= 2
        return array

    doubled = joblib.Parallel(max_nbytes=1)(joblib.delayed(double)(array) for _ in range(4))
    assert all((one == 2 * array).all() for one in doubled)
    assert array[1, -1] == 199_999


def test_scikit_learn_searches_a_grid(two_dynos):
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.tree import DecisionTreeClassifier

    features, classes = load_iris(return_X_y=True)
    tree = DecisionTreeClassifier(random_state=0)
    scores = cross_val_score(tree, features, classes, cv=3)
    search = GridSearchCV(tree, {"max_depth": [1, 3]}, cv=3).fit(features, classes)
    with joblib.parallel_config(backend="sequential"):
        assert scores.tolist() == cross_val_score(tree, features, classes, cv=3).tolist()
    assert search.best_params_ == {"max_depth": 3}


def test_n_jobs_of_minus_one_is_the_number_of_warm_dynos(heroku, packed):
    with joblib.parallel_config(backend="heroku", n_jobs=-1, worker=str(packed)):
        with pytest.raises(InvalidOptions, match="stands for all warm dynos, and there are none"):
            joblib.Parallel()([joblib.delayed(abs)(-1)])
        warm = heroku.warm(2)
        assert joblib.Parallel()([joblib.delayed(abs)(-1)] * 4) == [1] * 4
        with heroku.pool(jobs=3) as pool:
            assert list(pool.map(time.sleep, [0.5] * 3)) == [None] * 3
            assert len(heroku.warm()) == 3  # but only two were started by `warm`
            assert joblib.effective_n_jobs(-1) == 2
        assert (joblib.effective_n_jobs(-1), joblib.effective_n_jobs(-2), joblib.effective_n_jobs(-9)) == (2, 1, 1)
    with joblib.parallel_config(backend="heroku", worker=str(packed)):
        assert joblib.Parallel()._effective_n_jobs() == 2
    assert sum(dyno.calls for dyno in warm) > 1
    assert heroku.warm()[:2] == warm


def test_without_a_place_it_runs_where_the_last_connection_went(heroku):
    connect(local=True, say=lambda _: None)
    connect(worker=heroku.settings.worker, say=lambda _: None)
    with joblib.parallel_config(backend="heroku", n_jobs=2):
        assert joblib.Parallel()([joblib.delayed(abs)(-1)]) == [1]
    assert sum(dyno.calls for dyno in heroku.warm()) == 1


def test_no_work_is_sent_once_the_dynos_have_cost_max_cost_also_those_that_were_warm(packed, use_as_heroku):
    backend.register_heroku()
    use_as_heroku(embedded(packed))  # whose dynos have a price
    heroku = connect("app", say=lambda _: None)
    heroku.warm(2, size="standard-1x")
    options = {"backend": "heroku", "n_jobs": 2, "app": "app", "size": "standard-1x"}
    with (
        joblib.parallel_config(**options, max_cost=1e-6),
        pytest.raises(InvalidOptions, match=r"The dynos have cost .*, and max_cost is \$1e-06"),
    ):
        joblib.Parallel(batch_size=1)(joblib.delayed(abs)(-1) for _ in range(10_000))
    with joblib.parallel_config(**options, max_cost=1):
        assert joblib.Parallel()([joblib.delayed(abs)(-1)]) == [1]  # what they have cost before does not count
    heroku.warm(0)


def test_an_option_without_effect_is_refused(heroku, packed):
    with pytest.raises(TypeError, match="worke"):
        joblib.parallel_config(backend="heroku", n_jobs=2, worke=str(packed))
    with pytest.raises(InvalidOptions, match='"app" is not an option of Parallel on dynos'):
        joblib.Parallel(n_jobs=2, backend="heroku", app="shop")([joblib.delayed(abs)(-1)])


def test_every_dyno_is_compared_at_its_greeting(heroku, packed, tmp_path):
    path = sysconfig.get_path("purelib")
    with joblib.parallel_config(backend="heroku", n_jobs=2, worker=str(packed)):
        assert joblib.Parallel()([joblib.delayed(abs)(-1)]) == [1]
        (tmp_path / "numpy-0.1.dist-info").mkdir()
        heroku.set_config("PYTHONPATH", Secret(f"{tmp_path}:{path}"))  # which needs new dynos
        with pytest.raises(InvalidOptions, match=r"numpy is \S+ here and 0\.1 on the dyno"):
            joblib.Parallel()([joblib.delayed(abs)(-1)])
        assert [dyno.is_busy for dyno in heroku.warm()] in ([], [False])
        heroku.set_config("PYTHONPATH", Secret(path))
        assert joblib.Parallel()([joblib.delayed(abs)(-1)]) == [1]


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"Python": platform.python_version()}, "Add a line joblib=="),
        ({"joblib": "0.1"}, r"joblib is \S+ here and 0\.1 on the dyno"),
        ({"joblib": joblib.__version__, "Python": "3.8.2"}, r"Python is 3\.\d+\.\d+ here and 3\.8\.2 on the dyno"),
        ({"joblib": joblib.__version__, "cloudpickle": "9.1.1"}, r"cloudpickle is \S+ here and 9\.1\.1 on the dyno"),
        ({"joblib": joblib.__version__, "scikit-learn": "0.2"}, r"scikit-learn is \S+ here and 0\.2 on the dyno"),
    ],
)
def test_a_dyno_with_other_versions_is_refused(theirs, expected):
    with pytest.raises(InvalidOptions, match=expected):
        backend._compare(theirs)


def test_a_dyno_with_the_same_versions_and_another_patch_of_python_is_accepted():
    python = ".".join([*platform.python_version_tuple()[:2], "99"])
    backend._compare({"joblib": joblib.__version__, "Python": python})


@pytest.mark.parametrize("limit", ["much", 0, -1, float("nan")])
def test_a_limit_that_means_nothing_is_refused(limit):
    backend.register_heroku()
    with pytest.raises(InvalidOptions, match=r"max_cost is .*: expected dollars"):
        joblib.parallel_config(backend="heroku", n_jobs=1, max_cost=limit)
