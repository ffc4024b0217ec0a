"""The backend passes those of joblib's own tests for backends that apply to dynos."""

from __future__ import annotations

import contextlib

import pytest

from heroku_magic import connect

joblib = pytest.importorskip("joblib")
suite = pytest.importorskip("joblib.test.test_parallel", reason="this joblib was installed without its tests")
from joblib import parallel_backend, parallel_config  # noqa: E402 - it may be missing

from heroku_magic.joblib import register_heroku  # noqa: E402 - it needs joblib

GENERATORS = ("generator", "generator_unordered")
IN_TURN = [f"{verb} {number}" for number in range(6) for verb in ("Produced", "Consumed")]
BATCHED = [
    f"{verb} {number}" for batch in (range(4), range(4, 6)) for verb in ("Produced", "Consumed") for number in batch
]

# The arguments of each run of a test; pytest.MonkeyPatch stands for the fixture. "heroku" is the backend; tests that name none run in its context.
APPLIES = {
    "test_simple_parallel": [("heroku", 2, 2), ("heroku", -1, 100)],
    "test_parallel_pretty_print": [("heroku", 2)],
    "test_main_thread_renamed_no_warning": [("heroku", pytest.MonkeyPatch)],
    "test_nested_loop": [("heroku", inner) for inner in ("threading", "sequential", "multiprocessing", "loky")],
    "test_nested_loop_with_exception_with_loky": [()],
    "test_parallel_kwargs": [(1,), (2,)],
    "test_parallel_as_context_manager": [("heroku",)],
    "test_parallel_byteorder_corruption": [("<", 1), (">", "1M"), ("=", 1)],
    "test_parallel_timeout_success": [("heroku",)],
    "test_parallel_timeout_fail": [("heroku",)],
    "test_parallel_timeout_fail_with_generator": [("heroku", kind) for kind in GENERATORS],
    "test_error_in_task_iterator": [("heroku",)],
    "test_dispatch_one_job": [("heroku", 1, IN_TURN), ("heroku", 4, BATCHED)],
    "test_batching_auto_subprocesses": [("heroku",)],
    "test_exception_dispatch": [()],
    "test_invalid_njobs": [("heroku",)],
    "test_njobs_converted_to_int": [("heroku", number) for number in ("2", 2.3, 2)],
    "test_backend_context_manager": [
        (pytest.MonkeyPatch, "heroku", context) for context in (parallel_config, parallel_backend)
    ],
    "test_nested_backend_context_manager": [(parallel_config, "heroku"), (parallel_backend, "heroku")],
    "test_nested_backend_in_sequential": [("heroku", 2, parallel_config), ("heroku", -1, parallel_backend)],
    "test_backend_nesting_level": [(context, "heroku", "threading") for context in (parallel_config, parallel_backend)],
    "test_dispatch_race_condition": [(517, 2, "n_jobs", "auto"), (25, 2, "all", 1), (50, 2, "2 * n_jobs", 7)],
    "test_no_blas_crash_or_freeze_with_subprocesses": [("heroku",)],
    "test_parallel_with_exhausted_iterator": [()],
    "test_parallel_unordered_generator_returns_fastest_first": [("heroku", 2)],
    "test_abort_backend": [(2, "heroku")],
    "test_deadlock_with_generator": [("heroku", kind, 2) for kind in GENERATORS],
    "test_multiple_generator_call": [("heroku", kind, 2) for kind in GENERATORS],
    "test_multiple_generator_call_managed": [("heroku", kind, 2) for kind in GENERATORS],
    "test_multiple_generator_call_separated": [("heroku", one, two, 2) for one in GENERATORS for two in GENERATORS],
    "test_multiple_generator_call_separated_gc": [
        ("heroku", one, two, False) for one in GENERATORS for two in GENERATORS
    ],
    "test_lambda_expression": [("heroku",)],
    "test_backend_batch_statistics_reset": [("heroku",)],
    "test_backend_hinting_always_running": [(2, None), (2, "threads")],
    "test_nested_parallelism_limit": [(parallel_config, "heroku"), (parallel_backend, "heroku")],
    "test_thread_bomb_mitigation": [(parallel_config, "heroku")],
    "test_globals_update_at_each_parallel_call": [()],
}
NAMES_NO_BACKEND = "it is about joblib itself or other backends, and takes no backend"
MEMORY_MAPS = "it expects memory maps, and dynos get arrays by their hashes"
SHARED_MEMORY = "its tasks change objects of this process"
MANAGER = "its tasks use a manager process of this computer, which a dyno cannot reach"
LOKY = "it starts loky by name in a script of its own, or reads its worker processes"
DOES_NOT_APPLY = {
    "test_nested_parallel_warnings": "it is about joblib's warnings on nested processes of one computer",
    "test_background_thread_parallelism": NAMES_NO_BACKEND,
    "test_parallel_pickling": "it expects joblib's words; InvalidParameters names the object",
    "test_error_capture": "it expects that an error ends the workers; dynos go on",
    "test_nested_exception_dispatch": "joblib expects it to fail: a traceback of a nested call in the error",
    "test_mutate_input_with_threads": SHARED_MEMORY,
    "test_parallel_return_order_with_return_as_generator_parameter": SHARED_MEMORY,
    "test_dispatch_multiprocessing": MANAGER,
    **dict.fromkeys(
        (
            *("test_cpu_count", "test_effective_n_jobs", "test_effective_n_jobs_None", "test_batching_auto_threading"),
            *("test_invalid_backend", "test_register_parallel_backend", "test_overwrite_default_backend"),
            *("test_backend_no_multiprocessing", "test_parameterized_backend_context_manager"),
            *("test_directly_parameterized_backend_context_manager", "test_retrieval_context"),
            *("test_invalid_batch_size", "test_default_mp_context", "test_backend_hinting_and_constraints"),
            *("test_warning_about_timeout_not_supported_by_backend", "test_invalid_backend_hinting_and_constraints"),
            *("test_backend_hinting_and_constraints_with_custom_backends", "test_parallel_thread_limit"),
            *("test_dask_backend_when_dask_not_installed", "test_zero_worker_backend"),
        ),
        NAMES_NO_BACKEND,
    ),
    **dict.fromkeys(
        ("test_auto_memmap_on_arrays_from_generator", "test_memmap_with_big_offset", "test_memmapping_leaks"),
        MEMORY_MAPS,
    ),
    **dict.fromkeys(
        (
            *("test_initializer_context", "test_initializer_parallel"),
            *("test_initializer_reused", "test_initializer_not_reused"),
        ),
        MANAGER,
    ),
    **dict.fromkeys(
        (
            *("test_parallel_with_interactively_defined_functions", "test_loky_reuse_workers"),
            *("test_parallel_with_unpicklable_functions_in_args", "test_threadpool_limitation_in_child_loky"),
            *("test_parallel_with_interactively_defined_functions_loky", "test_threadpool_limitation_in_child_context"),
            *("test_parallel_with_interactively_defined_bound_method_loky",),
            *("test_threadpool_limitation_in_child_override",),
        ),
        LOKY,
    ),
}
IN_CONTEXT = {  # the others name their backend, or check which one is the default
    *("test_parallel_kwargs", "test_exception_dispatch", "test_dispatch_race_condition"),
    *("test_parallel_with_exhausted_iterator", "test_backend_hinting_always_running"),
    "test_globals_update_at_each_parallel_call",
}
AS_LOKY = {"test_nested_loop_with_exception_with_loky", "test_parallel_byteorder_corruption"}  # they name only loky


@pytest.fixture(scope="module")
def two_dynos(packed):
    register_heroku()
    heroku = connect(worker=packed, say=lambda _: None)
    heroku.warm(2)
    yield heroku
    heroku.warm(0)


def test_each_test_of_joblib_runs_or_has_a_reason_not_to():
    names = {name for name in vars(suite) if name.startswith("test_")}
    assert names - APPLIES.keys() - DOES_NOT_APPLY.keys() == set()
    assert APPLIES.keys() & DOES_NOT_APPLY.keys() == set()


@pytest.mark.parametrize("name", APPLIES)
@pytest.mark.filterwarnings("ignore:.*tasks which were still being processed by the workers have been cancelled")
@pytest.mark.filterwarnings("ignore:A generator produced by joblib.Parallel has been gc'ed in an unexpected thread")
def test_the_backend_passes_a_test_of_joblib(name, two_dynos, monkeypatch):
    if not hasattr(suite, name):
        pytest.skip("this joblib has no such test")
    if name in AS_LOKY:
        monkeypatch.setitem(joblib.parallel.BACKENDS, "loky", joblib.parallel.BACKENDS["heroku"])
    for arguments in APPLIES[name]:
        context = parallel_config(backend="heroku", n_jobs=2) if name in IN_CONTEXT else contextlib.nullcontext()
        with context:
            getattr(suite, name)(*(monkeypatch if one is pytest.MonkeyPatch else one for one in arguments))
    assert [dyno.owner for dyno in two_dynos.warm()][:2] == [None, None]
