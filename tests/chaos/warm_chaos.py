"""Run calls on warm dynos under random faults of their connections, mixed with those of runs.

    python tests/chaos/warm_chaos.py [--calls 2000] [--seed 1]

A round starts an emulator with two to four faults. Tasks run with `warm=True` and functions in a pool, some of them at
the same time. A call is exact, or an error that names it; nothing hangs, and no dyno is left.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import chaos
from chaos import ANSWERS, FAULTS, LONGEST, PROCFILE, Outcome, emulator, judge, remaining_dynos, table

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from heroku_magic import Heroku

ATTACH_FAULTS: dict[str, tuple[float, ...]] = {
    "attach-refused": (0.3, 1),
    "attach-hang": (0.3,),
    "attach-cut": (0.1, 0.5, 2),
    "attach-silent": (0.3,),
    "attach-tail": (100, 5000),
    "attach-empty": (0.3,),
    "attach-stall": (0.3,),
    "attach-chop": (1,),
    "attach-7bit": (1,),
}
# These make no difference to a warm call, which reads no log.
OF_LOGS = frozenset(name for name in FAULTS if "line" in name or "stream" in name) | {
    "expired-session",
    "clock-skew",
    "log-skew",
}
OTHERS = sorted(FAULTS.keys() - OF_LOGS - {"over-memory"})
WARM_TASKS = [name for name in ANSWERS if name not in PROCFILE]
SMALL_TASKS = [name for name in WARM_TASKS if name not in {"many", "table", "files"}]  # for one byte at a time
POOL_CALLS = 20
CALLS = 2 * len(WARM_TASKS) + POOL_CALLS


@contextlib.contextmanager
def impatience() -> Iterator[None]:
    """Shorten the times after which a connection counts as broken."""
    from heroku_magic.warm import rendezvous, warm_dyno

    short = {
        (rendezvous, "GREETING_TIMEOUT"): 3.0,
        (rendezvous, "GREETING_LOOK"): 0.5,
        (warm_dyno, "HELLO_TIMEOUT"): 8.0,
        (warm_dyno, "PING_INTERVAL"): 1.0,
        (warm_dyno, "SILENCE"): 8.0,
    }
    before = {key: getattr(*key) for key in short}
    for (module, name), value in short.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


def square(n: int) -> dict[str, int]:
    """Return what the pool's calls return."""
    return {"n": n, "square": n * n}


def play(folder: Path, faults: dict[str, float], seed: int) -> list[Outcome]:
    """Run warm calls of all tasks, and a pool, under these faults."""
    from heroku_magic import connect

    with emulator(folder, faults, seed), impatience():
        heroku = connect("chaos", say=lambda _: None)
        outcomes = [*_play_pool(heroku, faults), *_play_tasks(heroku, faults)]
        heroku.warm(0)
        if left := remaining_dynos(heroku):
            outcomes.append(Outcome("(all)", faults, "left", left, 0))
    return outcomes


def _play_tasks(heroku: Heroku, faults: dict[str, float]) -> Iterator[Outcome]:
    until = time.monotonic() + LONGEST
    tasks = SMALL_TASKS if "attach-chop" in faults else WARM_TASKS
    started = [(task, _start(heroku.submit, task, warm=True)) for task in tasks * 2]
    for task, run in started:
        yield _checked(judge(task, run, faults, until))


def _play_pool(heroku: Heroku, faults: dict[str, float]) -> Iterator[Outcome]:
    until = time.monotonic() + LONGEST
    with heroku.pool(jobs=2) as pool:
        for n, call in [(n, _start(pool.submit, square, n)) for n in range(POOL_CALLS)]:
            yield _checked(_judge_call(n, call, faults, max(until - time.monotonic(), 0.1)))
        pool.cancel()


def _start(start: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Start a call, or return the error that prevented it."""
    from heroku_magic.errors import HerokuMagicError

    try:
        return start(*args, **options)
    except HerokuMagicError as error:
        return repr(error)


def _judge_call(n: int, call: Any, faults: dict[str, float], patience: float) -> Outcome:
    if isinstance(call, str):
        return Outcome("square", faults, "refused", call, 0)
    began = time.monotonic()
    try:
        error = call.exception(patience)
    except TimeoutError:
        return Outcome("square", faults, "hung", repr(call), patience)
    seconds = time.monotonic() - began
    if error is None:
        return Outcome("square", faults, "exact" if call.result() == square(n) else "WRONG", "", seconds)
    return Outcome("square", faults, "incomplete", f"{type(error).__name__}: {error}", seconds)


def _checked(outcome: Outcome) -> Outcome:
    """Return an outcome, as unnamed if it is an error of a call on a dyno that does not name it."""
    is_lost = outcome.kind == "incomplete" and outcome.text.startswith("LogStreamError")
    return outcome._replace(kind="unnamed") if is_lost and outcome.task not in outcome.text else outcome


def mixture(random_: random.Random) -> dict[str, float]:
    """Draw one or two faults of connections and up to two others, and their values."""
    names = random_.sample(sorted(ATTACH_FAULTS), random_.choice((1, 1, 2)))
    names += random_.sample(OTHERS, random_.choice((0, 1, 2)))
    return {name: random_.choice({**FAULTS, **ATTACH_FAULTS}[name]) for name in names}


rounds = partial(chaos.rounds, play=play, mixture=mixture)


def main() -> int:
    """Play rounds and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcomes: list[Outcome] = []

    def report(played: list[Outcome]) -> None:
        outcomes.extend(played)
        for outcome in played:
            if outcome.kind not in {"exact", "incomplete", "killed"}:
                print(*outcome, flush=True)

    with contextlib.suppress(KeyboardInterrupt):  # print what was played so far
        rounds(-(-options.calls // CALLS), options.seed, report)
    print(f"{sum(outcome.task != '(all)' for outcome in outcomes)} calls")
    print(table(outcomes))
    print(f"slowest: {max(outcome.seconds for outcome in outcomes):.1f} s")
    return int(any(outcome.kind in {"WRONG", "hung", "left", "unnamed"} for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
