"""The official CLI's git commands, and git with what they set up."""

from __future__ import annotations

import copy
import subprocess

import pytest

AUTHOR = {f"GIT_{who}_{what}": "me@invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def tree(heroku, tmp_path):
    """The CLI in a repository with one commit, and a function that runs git there."""
    cli = copy.copy(heroku)
    cli.folder = tmp_path / "tree"
    cli.folder.mkdir()

    def git(*words, status=0):
        env = {**cli.env, **AUTHOR}
        done = subprocess.run(["git", *words], cwd=cli.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    (cli.folder / "Procfile").write_text("hello: echo pushed\n")
    git("init", "--quiet", "--initial-branch=main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "work")
    return cli, git


@pytest.mark.cli("git:remote -a pushed", "git:clone -a pushed", "create in a repository")
def test_a_repository_is_created_pushed_run_and_cloned(tree, platform):
    cli, git = tree
    cli("create", "pushed")
    remote = f"https://{platform.exports['HEROKU_GIT_HOST']}/pushed.git"
    assert git("remote", "get-url", "heroku").strip() == remote
    git("remote", "remove", "heroku")
    assert remote in cli("git:remote", "--app", "pushed").stdout
    assert f"{platform.get('/apps/pushed')['web_url']} deployed to Heroku" in git("push", "heroku", "main")
    assert cli("run", "hello").stdout.splitlines()[-1] == "pushed"  # the app is that of the remote
    cli("git:clone", "--app", "pushed", "copy")
    assert (cli.folder / "copy" / "Procfile").read_text() == "hello: echo pushed\n"
    assert git("push", "heroku", "main").strip() == "Everything up-to-date"
