"""The public API as its users type it: never run, only checked by mypy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heroku_magic
from heroku_magic import Heroku, HerokuMagicError, Run, RunCancelled, Sweep, SweepFailed, TaskFailed, connect

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pandas as pd
    import polars as pl

    from heroku_magic.runs.events import Event

heroku: Heroku = connect()
heroku = connect("my-app", size="standard-2x", timeout=600)
heroku = connect(local=True, worker="worker/")

frame: pd.DataFrame | None = heroku.run("simulate", {"n": 10}, size="basic")
run: Run = heroku.submit("simulate", {"n": 10}, timeout=60, rows=False)
done: bool = run.wait(timeout=1)
status: int | None = run.exit_status
log: str = run.logs()
error: HerokuMagicError | None = run.exception()
events: list[Event] = list(run)
names: list[str] = [task.name for task in heroku.tasks()]
stopped: str = heroku.stop("run.1234")
last: Run | Sweep | None = heroku_magic.last
sweep: Sweep = heroku.sweep("simulate", {"n": range(10)}, {"seed": 1}, jobs=5, chunk="auto", save="grid.jsonl")
frames: list[pd.DataFrame | None] = [outcome.result() for outcome in sweep.as_completed()]
whole: pd.DataFrame | None = sweep.result(timeout=60)
as_polars: pl.DataFrame | None = run.result(as_="polars")
table: pd.DataFrame = heroku.resume(sweep).runs()
price: float | None = heroku.estimate("simulate", {"n": [1, 2]}).dollars
with heroku.executor("simulate", jobs=2) as executor:
    later: Future[object] = executor.submit(len, "x")

with heroku_magic.temporary_app("worker/", region="eu") as temporary:
    frame = temporary.run("simulate")
with heroku.temporary_app("worker/") as temporary:
    stopped = temporary.app_name
facts: dict[str, str] = heroku_magic.account().status()
whose: str = heroku_magic.login(scope=["identity", "read"], expires=3600).email
source: str | None = heroku_magic.logout()

shipped: Run = heroku.submit(code="[1, 2]", parameters={"n": 10}, secrets=["KEY"])
grid: pd.DataFrame | None = heroku.sweep(None, {"n": range(3)}, code="n * n", chunk=3).result()


@heroku_magic.function
def doubled(x: int) -> int:
    return 2 * x


@heroku.function(size="basic", timeout=60)
def halved(x: int) -> float:
    return x / 2


one: int = doubled.remote(3)
local: float = halved(3)
several: list[float] = halved.map([1, 2], jobs=2)

try:
    run.result()
except (TaskFailed, RunCancelled, SweepFailed) as failure:
    partial: pd.DataFrame | None = failure.partial
