"""What happens to a run whose create request got no response."""

from __future__ import annotations

import pytest

from heroku_magic.api.log_lines import LogLine
from heroku_magic.errors import Unreachable
from heroku_magic.protocol.records import RunKey
from heroku_magic.runs import create_dyno
from heroku_magic.runs.command_mark import marked
from heroku_magic.runs.create_dyno import CREATES, DynoCreator
from heroku_magic.runs.dyno_guard import DynoGuard
from heroku_magic.runs.spec import RunSpec


class Platform:
    """An API whose responses to creates are lost, and whose dynos are over at once."""

    base_url, requests_left, creates = "https://api.example", 4500, 0

    def dynos(self, _):
        return []

    def create_dyno(self, *_, **__):
        self.creates += 1
        lost = Unreachable("no response")
        lost.sent = True
        raise lost


@pytest.mark.parametrize("command", ["step", "cat <<EOF\nhello\nEOF"])
@pytest.mark.parametrize("is_requested", [True, False])
def test_a_dyno_whose_creation_alone_is_in_the_log_is_not_created_again(monkeypatch, command, is_requested):
    key, platform = RunKey.new(), Platform()
    spec = RunSpec("shop", "shop", "step", command, {})
    first, *more = f"Starting process with command `{marked(command, key.run)}` by user me@example.com".split("\n")
    log = [LogLine("2026-01-01T12:00:00.000000+00:00", "app", "api", text) for text in (first, *more)]
    monkeypatch.setattr(create_dyno, "backlog", lambda *_: log if is_requested else [])
    guard = DynoGuard(platform, spec, key.run, print)
    creator = DynoCreator(platform, spec, key, guard=guard, wait=lambda _: False, is_patient=True)

    with pytest.raises(Unreachable, match="It is unknown whether a dyno was started"):
        creator.create()

    assert platform.creates == (1 if is_requested else CREATES)
