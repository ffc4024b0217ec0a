"""Further forms of the official CLI, as a table: each works, or ends in a sentence that says what is not there.

Not in the table, because they speak to hosts of their own, which no variable moves: `apps:errors` and `ps:autoscale` (metrics),
`apps:favorites` (dashboard), `buildpacks:add NAME` (registry). `container` needs Docker, and `auth:login` a browser.
"""

from __future__ import annotations

import pytest

WORKS, FAILS, IS_REFUSED = 0, 1, 2

# The line, its exit status, and what it prints.
FORMS = [
    ("addons -a idle", WORKS, "No add-ons for app idle."),
    ("addons --all", WORKS, "No add-ons."),
    ("addons:services", WORKS, "See plans with heroku addons:plans SERVICE"),
    ("addons:plans heroku-redis", IS_REFUSED, "Couldn't find that add-on service."),
    ("addons:info redis -a idle", FAILS, "Couldn't find that addon."),
    ("addons:docs redis -a idle", FAILS, "Couldn't find that addon."),
    ("addons:create heroku-redis:mini -a idle", IS_REFUSED, "The embedded Heroku does not do add-ons."),
    ("addons:attach redis -a idle", IS_REFUSED, "Couldn't find that add-on."),
    ("addons:detach REDIS -a idle", IS_REFUSED, "Couldn't find that add-on attachment."),
    ("apps:info -a idle --json", WORKS, '"addons": []'),
    ("apps:stacks -a idle", WORKS, "* heroku-24"),
    ("apps:lock -a idle", IS_REFUSED, "Couldn't find that team."),
    ("apps:join -a idle", IS_REFUSED, "The embedded Heroku does not do teams."),
    ("apps:leave -a idle", IS_REFUSED, "The embedded Heroku does not do collaborators."),
    ("auth:2fa", WORKS, "Two-factor authentication is not enabled"),
    ("access -a idle", WORKS, "owner"),
    ("access:add other@example.invalid -a idle", IS_REFUSED, "The embedded Heroku does not do collaborators."),
    ("access:remove other@example.invalid -a idle", IS_REFUSED, "The embedded Heroku does not do collaborators."),
    ("buildpacks -a idle", WORKS, "idle has no Buildpacks."),
    ("certs:auto -a idle", WORKS, "Automatic Certificate Management is disabled on idle"),
    ("certs:auto:enable -a idle", IS_REFUSED, "The embedded Heroku does not do automated certificates."),
    ("ci -a idle", IS_REFUSED, "Couldn't find that pipeline coupling."),
    ("ci:config -a idle", IS_REFUSED, "Couldn't find that pipeline coupling."),
    ("clients", WORKS, "No OAuth clients."),
]


@pytest.mark.parametrize(("said", "status", "text"), FORMS, ids=[line for line, *_ in FORMS], indirect=["said"])
def test_a_form_works_or_says_what_is_not_there(said, status, text):
    assert said.status == status, said
    assert text in said.stdout + said.complaint
