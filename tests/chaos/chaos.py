"""Many runs under random platform faults: each is exact, or fails with a true error.

    python tests/chaos/chaos.py --runs 1000 --seed 1

prints a table of faults and outcomes. A round is one emulator with random faults and a concurrent run of
each task; everything random is derived from the seed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workers import make_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heroku_magic import Heroku, Run

LONGEST = 120  # seconds within which a run must end
GONE = 40  # seconds within which its dynos must be gone

PACKAGES = str(Path(pd.__file__).parents[1])
FILES = {name: random.Random(name).randbytes(200_000) for name in ("a.bin", "b.bin")}
DTYPES = {"i": "int64", "x": "float64", "w": "category", "n": "Int32"}
TASKS = {
    "few": """
        from heroku_task import task

        @task
        def few(n: int = 7):
            for i in range(n):
                print("drawing", i)
                yield {"i": i, "x": i / 3, "word": "é" * i, "none": None if i % 2 else i}
        """,
    "many": """
        from heroku_task import task

        @task
        def many(n: int = 20000):
            return [{"i": i, "x": i / 7, "even": i % 2 == 0} for i in range(n)]
        """,
    "slow": """
        import time
        from heroku_task import progress, task

        @task
        def slow(n: int = 15):
            for i in progress(range(n)):
                time.sleep(0.05)
                yield {"i": i}
        """,
    "fails": """
        from heroku_task import task

        @task
        def fails():
            yield {"i": 0}
            yield {"i": 1}
            raise ValueError("as it should")
        """,
    "exits": """
        import sys
        from heroku_task import task

        @task
        def exits():
            sys.exit(7)
        """,
    "table": f"""
        import sys
        sys.path.append({PACKAGES!r})  # a dyno of the emulator has its own environment, without pandas
        import pandas as pd
        from heroku_task import task

        @task
        def table():
            words = pd.Categorical.from_codes([i % 3 for i in range(30_000)], ["a", "b", "c"])
            whole = pd.array([None if i % 5 == 0 else i for i in range(30_000)], dtype="Int32")
            return pd.DataFrame({{"i": range(30_000), "x": [i / 7 for i in range(30_000)], "w": words, "n": whole}})
        """,
    "files": """
        import os, random, tempfile
        from heroku_task import emit_file, metric, task

        @task
        def files():
            with tempfile.TemporaryDirectory() as folder:  # a dyno of the emulator may have twins on this machine
                for name in ("a.bin", "b.bin"):
                    path = os.path.join(folder, name)
                    with open(path, "wb") as file:
                        file.write(random.Random(name).randbytes(200_000))
                    emit_file(path)
                    metric("files", 1)
            yield {"i": 1}
        """,
    "nothing": """
        from heroku_task import task

        @task
        def nothing():
            pass
        """,
}
PROCFILE = {
    "plain": 'for i in $(seq 1 9); do echo "{\\"i\\": $i}"; done',
    "talks": "seq 1 400",
    "piped": "python -m heroku_task fails | cat",
    "both": "python -m heroku_task few && python -m heroku_task few",
}


class Answer(NamedTuple):
    """The result of a task without faults."""

    columns: dict[str, list[Any]] | None
    status: int = 0


ANSWERS = {
    "few": Answer(
        {
            "i": list(range(7)),
            "x": [i / 3 for i in range(7)],
            "word": ["é" * i for i in range(7)],
            "none": [None if i % 2 else i for i in range(7)],
        }
    ),
    "many": Answer(
        {
            "i": list(range(20000)),
            "x": [i / 7 for i in range(20000)],
            "even": [i % 2 == 0 for i in range(20000)],
        }
    ),
    "slow": Answer({"i": list(range(15))}),
    "fails": Answer({"i": [0, 1]}, 1),
    "exits": Answer(None, 7),
    "table": Answer(
        {
            "i": list(range(30_000)),
            "x": [i / 7 for i in range(30_000)],
            "w": ["abc"[i % 3] for i in range(30_000)],
            "n": [None if i % 5 == 0 else i for i in range(30_000)],
        }
    ),
    "files": Answer({"i": [1]}),
    "nothing": Answer(None),
    "plain": Answer({"i": list(range(1, 10))}),
    "talks": Answer(None),
    "piped": Answer({"i": [0, 1]}, 1),
}
ANSWERS["both"] = Answer({name: 2 * values for name, values in (ANSWERS["few"].columns or {}).items()})

# The values that are drawn for each fault.
FAULTS: dict[str, tuple[float, ...]] = {
    "slow-boot": (0.3, 1),
    "lose-lines": (0.002, 0.05),
    "drop-lines": (0.02, 0.3),
    "drop-lines-silent": (0.02, 0.3),
    "double-lines": (0.05, 0.5),
    "reorder-lines": (0.05, 0.5),
    "late-lines": (0.3, 2),
    "no-exit-line": (0.5, 1),
    "cut-stream": (0.3, 0.7),
    "stale-stream": (0.3, 0.7),
    "expired-session": (0.3, 0.6),
    "conflict-after-release": (1, 2),
    "dyno-not-visible": (1, 2),
    "rate-limit": (0.1, 0.3),
    "html-503": (0.05, 0.15),
    "json-500": (0.05, 0.15),
    "reset-before-create": (0.3, 0.6),
    "reset-after-create": (0.3, 0.6),
    "json-500-after-create": (0.3, 0.6),
    "late-create": (0.3, 0.6),
    "dyno-killed": (0.3, 0.6),
    "over-memory": (0.3,),
    "run-twice": (0.3, 1),
    "clock-skew": (-30, 30),
    "log-skew": (-300, 300),
    "reuse-names": (4,),
}
# Faults that kill a dyno really make its task fail.
KILLERS = {"dyno-killed", "over-memory"}


class Outcome(NamedTuple):
    """How one run ended: exact, incomplete (and reported as such), wrong, or hung."""

    task: str
    faults: dict[str, float]
    kind: str
    text: str
    seconds: float


@contextlib.contextmanager
def emulator(folder: Path, faults: dict[str, float], seed: int, name: str = "chaos", *limits: str) -> Iterator[None]:
    """Start an emulator with these faults, and use it like the real Heroku in this process."""
    options = [f"--fault={fault}={value}" for fault, value in faults.items()]
    command = [sys.executable, "-m", "heroku_magic.emulator", "--until-stdin-closes", f"--app={name}={folder}"]
    times = ["--time=grace=2", "--time=memory=0.5", "--time=stream=20", *(limits or ["--one-offs=50"])]
    with subprocess.Popen(
        [*command, *options, *times, f"--seed={seed}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        exports = os.read(process.stdout.fileno(), 65_536).decode()
        variables = dict(line.removeprefix("export ").split("=", 1) for line in exports.splitlines())
        os.environ.update({name: variables[name] for name in ("HEROKU_HOST", "HEROKU_API_KEY")})
        yield
        process.communicate()


def play(folder: Path, faults: dict[str, float], seed: int) -> list[Outcome]:
    """Run all tasks concurrently under these faults."""
    from heroku_magic import connect

    with emulator(folder, faults, seed), backlog_readers() as readers:
        heroku = connect("chaos", say=lambda _: None)
        started = [(task, submit(heroku, task)) for task in ANSWERS]
        until = time.monotonic() + LONGEST
        outcomes = [judge(task, run, faults, until) for task, run in started]
        outcomes = [with_repairs(outcome, run, readers) for outcome, (_, run) in zip(outcomes, started, strict=True)]
        if left := remaining_dynos(heroku):
            outcomes.append(Outcome("(all)", faults, "left", left, 0))
    return outcomes


@contextlib.contextmanager
def backlog_readers() -> Iterator[set[str]]:
    """Collect the runs that read the backlog because lines were missing in their stream."""
    from heroku_magic.runs.runner import Runner

    readers: set[str] = set()
    fill = Runner._fill

    def recorded(runner: Runner, *, at_end: bool) -> None:
        readers.add(runner._run.id)
        fill(runner, at_end=at_end)

    Runner._fill = recorded
    try:
        yield readers
    finally:
        Runner._fill = fill


def with_repairs(outcome: Outcome, run: Run | str, readers: set[str]) -> Outcome:
    """Return the outcome, marked as repaired if the run was exact only thanks to the backlog."""
    is_repaired = outcome.kind == "exact" and outcome.task not in PROCFILE and getattr(run, "id", "") in readers
    return outcome._replace(kind="repaired") if is_repaired else outcome


def submit(heroku: Heroku, task: str) -> Run | str:
    """Start a run, or return the error that prevented it."""
    from heroku_magic.errors import HerokuMagicError

    try:
        return heroku.submit(task)
    except HerokuMagicError as error:
        return repr(error)


def judge(task: str, run: Run | str, faults: dict[str, float], until: float) -> Outcome:
    """Wait for a run and return how it ended."""
    if isinstance(run, str):
        return Outcome(task, faults, "refused", run, 0)
    if not run.wait(max(until - time.monotonic(), 0.1)):
        run.cancel()
        return Outcome(task, faults, "hung", repr(run), LONGEST)
    error = run.exception()
    kind = judge_success(task, run) if error is None else judge_error(task, run, error, faults)
    return Outcome(task, faults, kind, "" if error is None else f"{type(error).__name__}: {error}", run.seconds or 0)


def judge_success(task: str, run: Run) -> str:
    """Check a run that reports success."""
    answer = ANSWERS[task]
    is_exact = answer.status == 0 and run.exit_status == 0 and is_equal(run, answer)
    if task == "table" and run.partial is not None:
        is_exact = is_exact and {name: str(dtype) for name, dtype in run.partial.dtypes.items()} == DTYPES
    if task == "files":
        is_exact = is_exact and run.files == FILES
    return "exact" if is_exact else "WRONG"


def judge_error(task: str, run: Run, error: Exception, faults: dict[str, float]) -> str:
    """Check an error: a failure of the task must be real, with its true exit status."""
    from heroku_magic import TaskFailed

    if not isinstance(error, TaskFailed):
        return "incomplete"
    status = ANSWERS[task].status
    if run.exit_status == status and status:
        was_verified = run.facts()["verified"]  # asked first, because late lines may still bring rows
        return "exact" if is_equal(run, ANSWERS[task]) or not was_verified else "WRONG"
    is_killed = run.exit_status == 137 and KILLERS & faults.keys()
    return "killed" if is_killed else "incomplete" if run.exit_status is None else "WRONG"


def is_equal(run: Run, answer: Answer) -> bool:
    """Return whether the rows equal the answer: every value, in order."""
    df = run.partial
    if df is None or answer.columns is None:
        return df is None and answer.columns is None
    return {name: list(map(plain, df[name])) for name in df} == answer.columns


def plain(value: Any) -> Any:
    """Return a cell of a DataFrame as a plain Python value."""
    value = value.item() if hasattr(value, "item") else value
    is_null = value is None or type(value).__name__ in {"NAType", "NaTType"}
    return None if is_null or (isinstance(value, float) and math.isnan(value)) else value


def remaining_dynos(heroku: Heroku) -> str:
    """Wait until no dyno runs; return those that remain."""
    from heroku_magic.errors import HerokuMagicError

    until = time.monotonic() + GONE
    left = "the API did not respond"
    while time.monotonic() < until:
        try:
            dynos = heroku.dynos()
        except HerokuMagicError:
            continue
        left = ", ".join(f"{dyno.name} {dyno.command}" for dyno in dynos)
        if not left:
            return ""
        time.sleep(0.2)
    return left


def mixture(random_: random.Random) -> dict[str, float]:
    """Draw one to three faults and their values."""
    names = random_.sample(sorted(FAULTS), random_.choice((1, 1, 2, 3)))
    return {name: random_.choice(FAULTS[name]) for name in names}


def rounds(
    count: int,
    seed: int,
    report: Callable[[list[Outcome]], None] = lambda _: None,
    *,
    play: Callable[[Path, dict[str, float], int], list[Outcome]] = play,
    mixture: Callable[[random.Random], dict[str, float]] = mixture,
) -> list[Outcome]:
    """Play a number of rounds."""
    random_ = random.Random(seed)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_worker(Path(temporary) / "app", PROCFILE, **TASKS)
        for number in range(count):
            played = play(folder, mixture(random_), seed * 10_000 + number)
            report(played)
            outcomes += played
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """Return a table of faults and outcomes; a run counts for each of its faults."""
    kinds = ["exact", "repaired", "killed", "incomplete", "refused", "WRONG", "hung", "left", "unnamed"]
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        for name in (*outcome.faults, "(all)"):
            counts[name][outcome.kind] += 1
    lines = [f"{'':24}" + "".join(f"{kind:>12}" for kind in kinds)]
    lines += [f"{name:24}" + "".join(f"{counts[name][kind]:12}" for kind in kinds) for name in sorted(counts)]
    return "\n".join(lines)


def main() -> int:
    """Play rounds and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    def report(played: list[Outcome]) -> None:
        for outcome in played:
            if outcome.kind in {"WRONG", "hung", "left", "refused"}:
                print(*outcome, flush=True)

        outcomes.extend(played)

    outcomes: list[Outcome] = []
    with contextlib.suppress(KeyboardInterrupt):  # print what was played so far
        rounds(-(-options.runs // len(ANSWERS)), options.seed, report)
    print(f"{sum(outcome.task != '(all)' for outcome in outcomes)} runs")
    print(table(outcomes))
    print(f"slowest: {max(outcome.seconds for outcome in outcomes):.1f} s")
    return int(any(outcome.kind in {"WRONG", "hung", "left"} for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
