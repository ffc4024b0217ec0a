"""The pool passes the tests that CPython has for its own executors, where this Python comes with them."""

from __future__ import annotations

import importlib
import unittest

import pytest
from workers import make_worker

from heroku_magic import connect

# Python 3.10 and 3.11 have one module, later ones a package.
MODULES = ("", ".executor", ".test_shutdown", ".test_as_completed", ".test_wait")
TESTS = ("ExecutorTest", "ExecutorShutdownTest", "AsCompletedTests", "WaitTests")
DOES_NOT_APPLY = {
    "test_max_workers_negative": "the parameter is called jobs",
    "test_free_reference": "its values are objects of a class of its own, which only pickle could carry",
    "test_interpreter_shutdown": "it starts the standard library's executors by name",
    "test_submit_after_interpreter_shutdown": "it starts the standard library's executors by name",
    "test_hang_gh83386": "it starts the standard library's executors by name",
}


def _suite():
    """Return CPython's classes of tests, by name; empty where they are not installed."""
    found = {}
    for module in MODULES:
        try:
            names = vars(importlib.import_module(f"test.test_concurrent_futures{module}"))
        except (ImportError, unittest.SkipTest):
            continue
        found.update({name: names[name] for name in TESTS if name in names})
    return found


@pytest.fixture(scope="module")
def heroku(tmp_path_factory, processes):
    heroku = connect(worker=make_worker(tmp_path_factory.mktemp("suite") / "shop"), say=lambda _: None)
    yield heroku
    heroku.warm(0)


def test_the_pool_passes_the_tests_of_the_standard_library(heroku):
    suite = _suite()
    if not suite:
        pytest.skip("this Python was installed without its tests (test.test_concurrent_futures)")
    assert sorted(suite) == sorted(TESTS)

    def setup(case):
        case.executor = case.executor_type(max_workers=case.worker_count)

    def teardown(case):
        case.executor.shutdown()

    tests = unittest.TestSuite()
    kind = {
        "executor_type": staticmethod(lambda max_workers: heroku.pool(jobs=max_workers)),
        "worker_count": 4,
        "setUp": setup,
        "tearDown": teardown,
    }
    heroku.warm(4)
    for name, mixin in suite.items():
        case = type(f"Pool{name}", (mixin, unittest.TestCase), kind)
        names = unittest.defaultTestLoader.getTestCaseNames(case)
        tests.addTests(case(one) for one in names if one not in DOES_NOT_APPLY)
    result = unittest.TestResult()
    tests.run(result)
    assert [text for _, text in result.errors + result.failures] == []
    assert result.testsRun > 20
