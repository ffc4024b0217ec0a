"""What users type stays: a name that is removed or renamed breaks their notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import heroku_magic

PUBLIC = {
    "heroku_magic": """
        ApiError BuildFailed DeployRefused Heroku HerokuMagicError InvalidOptions InvalidParameters LogStreamError
        ResultIncomplete Run RunCancelled Secret SettingsError Sweep SweepFailed TaskFailed account connect export_form
        form function get_run history init last load_ipython_extension login logout temporary_app
        unload_ipython_extension""",
    "Heroku": """
        account app_name attach config create deploy destroy dynos estimate executor function logs pool releases resume
        rollback run set_config status stop submit sweep tasks temporary_app unset_config warm""",
    "Run": """
        add_done_callback cancel cancelled done events exception facts files logs metrics partial progress result running
        wait""",
    "Sweep": """
        add_done_callback as_completed axes cancel counts dollars done exception facts failures parameters partial plot
        result runs states wait""",
}
VERBS = """
    run dyno attach resume form tasks ps warm stop logs last status login logout apps use create destroy init deploy
    releases rollback config history show help"""


@pytest.mark.parametrize("owner", PUBLIC)
def test_every_public_name_is_still_there(owner):
    names = heroku_magic.__all__ if owner == "heroku_magic" else dir(getattr(heroku_magic, owner))

    assert not set(PUBLIC[owner].split()) - set(names)


def test_every_verb_is_still_there():
    from heroku_magic.magics.commands import DYNO
    from heroku_magic.magics.commands import VERBS as TABLE

    assert not set(VERBS.split()) - {*TABLE, DYNO.name}


def test_the_version_has_a_dated_section_in_the_changelog():
    changelog = (Path(__file__).resolve().parent.parent / "CHANGELOG.md").read_text()

    assert re.search(rf"^## {re.escape(heroku_magic.__version__)} - 20\d\d-\d\d-\d\d$", changelog, re.MULTILINE)
