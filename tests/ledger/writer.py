"""A process that writes entries to a ledger: `python writer.py FILE NAME COUNT`; a COUNT of 0 never ends."""

import itertools
import sys
import time
from pathlib import Path

from heroku_magic.ledger.database import Database
from heroku_magic.ledger.entry import Details, Entry, Payload, pack
from heroku_magic.runs.request import RunRequest

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
database, details = Database(path), pack(Details(request=RunRequest(), facts={"run": name}))
for number in range(count) if count else itertools.count():
    entry = Entry(run=f"hm-{name}{number:06x}", task="count", app="shop", started=time.time(), details=details)
    database.write([(entry, Payload(rows=b"x" * 2_000, log=b"y" * 2_000))])
    if not number:
        print("begun", flush=True)
