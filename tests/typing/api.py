"""The public API as its users type it: never run, only checked by mypy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heroku_magic
from heroku_magic import Heroku, HerokuMagicError, Run, RunCancelled, TaskFailed, connect

if TYPE_CHECKING:
    import pandas as pd

    from heroku_magic.events import Event

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
last: Run | None = heroku_magic.last

with heroku_magic.temporary_app("worker/", region="eu") as temporary:
    frame = temporary.run("simulate")
with heroku.temporary_app("worker/") as temporary:
    stopped = temporary.app_name
facts: dict[str, str] = heroku_magic.account().status()
whose: str = heroku_magic.login(scope=["identity", "read"], expires=3600).email
source: str | None = heroku_magic.logout()

try:
    run.result()
except (TaskFailed, RunCancelled) as failure:
    partial: pd.DataFrame | None = failure.partial
