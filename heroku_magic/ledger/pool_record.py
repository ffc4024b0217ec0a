"""Makes the entry of a pool, whose calls are too many for entries of their own: a table with a row per function."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from heroku_magic.ledger.entry import LEVEL, Details, Entry, Payload, pack, write_parts
from heroku_magic.ledger.records import masked_text, versions
from heroku_magic.protocol.records import Rows, RunKey

if TYPE_CHECKING:
    from heroku_magic.text.redact import Mask
    from heroku_magic.warm.pool_usage import PoolReport


def pool_record(report: PoolReport, mask: Mask) -> tuple[Entry, Payload]:
    """Return the entry of the calls of a pool."""
    calls, failed = (sum(getattr(one, name) for one in report.functions.values()) for name in ("calls", "failed"))
    rows = [
        {"function": mask.text(name), "calls": one.calls, "failed": one.failed, "seconds": round(one.seconds, 3)}
        for name, one in report.functions.items()
    ]
    entry = Entry(
        run=RunKey.new().run,
        task=report.name,
        app=report.app,
        started=report.started_at,
        seconds=report.seconds,
        dollars=report.dollars,
        exit_status=1 if failed else 0,  # as each of its calls has one
        state="failed" if failed else "done",
        rows=len(rows),
        error=masked_text(f"{failed:,} of {calls:,} calls failed. The first one: {report.error}", mask)
        if failed
        else None,
        parameters=json.dumps({"calls": calls, "failed": failed, "dynos": len(report.dynos)}),
    )
    first = report.dynos[0].info if report.dynos else None
    details = Details(
        request=report.request,
        facts={"run": entry.run, "task": entry.task, "app": entry.app, "dollars": entry.dollars, "verified": True},
        host=report.host,
        release=first.release.version if first else None,
        size=first.size if first else None,
        dyno=", ".join(dyno.info.name for dyno in report.dynos) or None,
        versions=versions(None),
    )
    entry.details = pack(details)
    return entry, Payload(rows=zlib.compress(write_parts([Rows(rows, verified=True)]), LEVEL))
