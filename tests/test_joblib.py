"""joblib's backend: `Parallel` and what scikit-learn builds on it run on warm dynos, unchanged."""

from __future__ import annotations

import pytest

from heroku_magic import connect, get_run, history
from heroku_magic.errors import InvalidOptions
from heroku_magic.ledger import location

joblib = pytest.importorskip("joblib")
from heroku_magic import joblib as backend  # noqa: E402 - it needs joblib


@pytest.fixture
def two_dynos(packed):
    backend.register_heroku()
    with joblib.parallel_config(backend="heroku", n_jobs=2, worker=str(packed)):
        yield
    connect(worker=packed, say=lambda _: None).warm(0)


class Point:
    def __init__(self, x):
        self.x = x


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
    assert joblib.Parallel()([joblib.delayed(abs)(-1)]) == [1]


def test_parallel_calls_may_be_nested(two_dynos):
    def total(n):
        return sum(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-k) for k in range(n)))

    assert joblib.Parallel()(joblib.delayed(total)(n) for n in range(4)) == [0, 0, 1, 3]


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


def test_n_jobs_of_minus_one_is_the_number_of_warm_dynos(packed):
    backend.register_heroku()
    heroku = connect(worker=packed, say=lambda _: None)
    with joblib.parallel_config(backend="heroku", n_jobs=-1, worker=str(packed)):
        with pytest.raises(InvalidOptions, match="No dyno is warm"):
            joblib.Parallel()([joblib.delayed(abs)(-1)])
        warm = heroku.warm(2)
        assert joblib.Parallel()([joblib.delayed(abs)(-1)] * 4) == [1] * 4
    assert sum(dyno.calls for dyno in warm) > 1  # the first one compared the versions
    assert heroku.warm() == warm
    heroku.warm(0)


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [({}, "Add a line joblib=="), ({"joblib": "0.1"}, r"joblib is \S+ here and 0\.1 on the dyno")],
)
def test_a_dyno_with_other_versions_is_refused(theirs, expected):
    with pytest.raises(InvalidOptions, match=expected):
        backend._compare(theirs)


@pytest.mark.parametrize("limit", ["much", 0, -1, float("nan")])
def test_a_limit_that_means_nothing_is_refused(limit):
    backend.register_heroku()
    with pytest.raises(InvalidOptions, match=r"max_cost is .*: expected dollars"):
        joblib.parallel_config(backend="heroku", n_jobs=1, max_cost=limit)
