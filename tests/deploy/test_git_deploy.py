"""`deploy(folder, git=True)` pushes the folder's HEAD."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from heroku_magic import BuildFailed, DeployRefused, HerokuMagicError, account, connect, init
from heroku_magic.deploy.commit import pack_commit, read_commit
from heroku_magic.errors import Interrupted, Unauthorized

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def messages():
    return []


@pytest.fixture
def heroku(platform, messages):
    account().create("shop")
    return connect("shop", say=messages.append)


@pytest.fixture
def git(tmp_path, monkeypatch):
    """A function that runs git in a new repository."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "me")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "me@invalid")

    def run(*words):
        done = subprocess.run(["git", *words], cwd=tmp_path / "repo", capture_output=True, text=True, check=True)
        return done.stdout.strip()

    (tmp_path / "repo").mkdir()
    run("init", "--quiet", "--initial-branch=trunk")
    return run


@pytest.fixture
def repo(git, tmp_path):
    """A repository with one commit, whose root is a worker."""
    return worker(git, tmp_path / "repo")


def worker(git, folder):
    init(folder)
    (folder / "requirements.txt").write_text("")  # nothing to download
    git("add", "--all")
    git("commit", "--quiet", "--message", "a worker")
    return folder


def test_head_is_pushed_built_and_run_and_other_changes_are_counted(heroku, repo, git, messages):
    (repo / "Procfile").write_text("task: python nothing.py\n")
    (repo / "notes.txt").write_text("untracked")
    (repo / "old.txt").write_text("ignored")
    (repo / ".gitignore").write_text("old.txt\n")
    done = heroku.deploy(repo, git=True)
    commit = git("rev-parse", "HEAD")
    assert (done.app, done.version, done.tasks, done.is_new) == ("shop", 2, ("task",), True)
    assert f"Pushing branch trunk, commit {commit[:8]}" in messages
    assert "3 changed files are not in HEAD and are not pushed" in messages
    assert heroku.run(parameters={"n": 2})["result"].tolist() == [0, 1]
    assert heroku.releases()[0].description == f"Deploy {commit[:8]}"

    again = heroku.deploy(repo, git=True)
    assert (again.version, again.is_new) == (2, False)


def test_a_push_that_was_given_up_before_it_began_pushes_nothing(heroku, repo, monkeypatch):
    from heroku_magic.deploy.git_deploy import GitDeploy

    change = GitDeploy._change

    def give_up_before_the_push(deploy, state, **facts):
        change(deploy, state, **facts)
        if state == "uploading":
            assert deploy.give_up() == "The upload was stopped; shop is unchanged."

    monkeypatch.setattr(GitDeploy, "_change", give_up_before_the_push)
    with pytest.raises(Interrupted, match="The push was stopped; shop is unchanged"):
        heroku.start_deploy(repo, git=True).result()
    assert [release.version for release in heroku.releases()] == [1]


def test_an_error_after_a_push_leaves_word_that_the_app_is_released(heroku, repo, monkeypatch):
    def refuse(*_):
        raise Unauthorized("Invalid credentials provided.", status=401)

    monkeypatch.setattr(heroku.client, "releases", refuse)
    with pytest.raises(Unauthorized, match=r"provided\. The build continues at Heroku and will be released") as caught:
        heroku.deploy(repo, git=True)
    assert "`heroku ps:scale web=0 --app shop` in a terminal stops it" in str(caught.value)
    monkeypatch.undo()
    assert heroku.releases()[0].version == 2


def test_a_push_that_is_said_to_be_stopped_is_stopped_even_if_its_build_seems_to_begin(monkeypatch):
    from heroku_magic.deploy.git_deploy import Deploy, GitDeploy

    give_up, stopped = Deploy.give_up, []

    def give_up_just_before_the_build(deploy):
        message = give_up(deploy)
        deploy._state = "building"
        return message

    monkeypatch.setattr(Deploy, "give_up", give_up_just_before_the_build)
    deploy = GitDeploy(None, "shop", "shop", archive=None, commit=None)
    deploy._process = SimpleNamespace(terminate=lambda: stopped.append("push"))
    assert deploy.give_up() == "The upload was stopped; shop is unchanged."
    assert stopped == ["push"]


def test_the_subtree_of_a_folder_inside_a_repository_is_pushed(heroku, git, tmp_path, messages):
    folder = worker(git, tmp_path / "repo" / "apps" / "my worker")
    (tmp_path / "repo" / "elsewhere.txt").write_text("a change outside of the folder")
    git("checkout", "--quiet", "--detach")
    done = heroku.deploy(folder, git=True)
    assert done.tasks == ("task",)
    assert any(message.startswith("Pushing a detached HEAD, commit ") for message in messages)
    assert not any("not in HEAD" in message for message in messages)


def test_a_broken_build_shows_its_output_and_changes_nothing(heroku, repo, git):
    (repo / ".gitmodules").write_text('[submodule "lib"]\n\tpath = lib\n\turl = /no/such/repository\n')
    git("add", "--all")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},lib")
    git("commit", "--quiet", "--message", "a submodule that cannot be fetched")
    with pytest.raises(BuildFailed, match=r"(?s)previous release stays active.*Push rejected to shop") as caught:
        heroku.deploy(repo, git=True)
    assert "The submodules cannot be fetched" in caught.value.output
    assert [release.version for release in heroku.releases()] == [1]


def test_commits_of_others_are_not_replaced(heroku, repo, git):
    heroku.deploy(repo, git=True)
    git("commit", "--quiet", "--amend", "--message", "another history")
    with pytest.raises(HerokuMagicError, match=r"shop has commits on main that HEAD does not have.*--force"):
        heroku.deploy(repo, git=True)


def test_a_commit_that_the_app_had_before_a_rollback_is_not_silently_skipped(heroku, repo, git):
    heroku.deploy(repo, git=True)
    git("commit", "--quiet", "--allow-empty", "--message", "newer")
    heroku.deploy(repo, git=True)
    heroku.rollback(2)
    with pytest.raises(HerokuMagicError, match="was already pushed to shop, but the app runs v4"):
        heroku.deploy(repo, git=True)


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (shutil.rmtree, "is not a folder"),
        (lambda repo: shutil.rmtree(repo / ".git"), "is not in a git repository. Commit the files"),
        (lambda repo: subprocess.run(["git", "update-ref", "-d", "HEAD"], cwd=repo, check=True), "has no commit yet"),
    ],
    ids=["no folder", "no repository", "no commit"],
)
def test_what_cannot_be_pushed_is_refused(repo, prepare, problem):
    prepare(repo)
    with pytest.raises(DeployRefused, match=problem):
        read_commit(repo)


def test_a_folder_without_committed_files_is_refused(repo):
    init(repo / "fresh")
    with pytest.raises(DeployRefused, match="HEAD has no files of"):
        read_commit(repo / "fresh")


def test_a_secret_in_head_is_refused_unless_it_is_allowed(repo, git):
    (repo / ".env").write_text("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY\n")
    git("add", "--force", ".env")
    git("commit", "--quiet", "--message", "a mistake")
    (repo / "Procfile").write_text("changed: true\n")
    commit = read_commit(repo)
    assert commit.notes[1:] == ["1 changed file is not in HEAD and is not pushed"]
    with pytest.raises(DeployRefused, match=r"\.env"):
        pack_commit(commit)
    archive = pack_commit(commit, allow=[".env"])
    assert ".env" in archive.names
    assert archive.texts["Procfile"].startswith("task: python")
    assert git("status", "--porcelain") == "M Procfile"


@pytest.mark.parametrize("name", ["id_rsa", ".venv/id_rsa"])
def test_a_committed_secret_that_no_slug_would_hold_is_refused_because_git_pushes_it(repo, git, name):
    (repo / name).parent.mkdir(exist_ok=True)
    (repo / name).write_text("not packed")
    (repo / ".slugignore").write_text("id_rsa\n")
    git("add", "--force", "--all")
    git("commit", "--quiet", "--message", "a mistake")
    with pytest.raises(DeployRefused, match=r"id_rsa holds secrets.* remove it from the commit \(git rm --cached\)"):
        pack_commit(read_commit(repo))
    assert name not in pack_commit(read_commit(repo), allow=[name]).sizes


def test_a_committed_virtual_environment_is_refused_unless_heroku_removes_it(heroku, repo, git):
    (repo / "venv").mkdir()
    (repo / "venv" / "pyvenv.cfg").touch()
    git("add", "--force", "--all")
    git("commit", "--quiet", "--message", "a venv")
    with pytest.raises(DeployRefused, match=r"venv/ is a virtual environment, which Heroku rejects"):
        heroku.deploy(repo, git=True)
    with (repo / ".slugignore").open("a") as file:
        file.write("venv/\n")
    git("commit", "--quiet", "--all", "--message", "no venv")
    assert not [name for name in pack_commit(read_commit(repo)).names if name.startswith("venv/")]


def test_files_outside_of_a_sparse_checkout_are_checked_too(repo, git):
    (repo / "other").mkdir()
    (repo / "other" / ".env").write_text("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY\n")
    git("add", "--force", ".")
    git("commit", "--quiet", "--message", "a mistake")
    git("sparse-checkout", "set", "nothing")
    with pytest.raises(DeployRefused, match=r"other/\.env"):
        pack_commit(read_commit(repo))


def test_reading_a_commit_leaves_the_repository_as_it_was(git, tmp_path, monkeypatch):
    folder = worker(git, tmp_path / "repo" / "apps" / "worker")
    os.utime(folder / "Procfile", (1, 1))  # git status would note it in the index
    inside = tmp_path / "repo" / ".git"
    before = {*inside.iterdir(), *inside.rglob("refs/**/*")}, (inside / "config").read_bytes()
    index = (inside / "index").read_bytes()
    # What a hook of another repository sees.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    commit = read_commit(folder)
    pack_commit(commit)
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert (inside / "index").read_bytes() == index
    assert ({*inside.iterdir(), *inside.rglob("refs/**/*")}, (inside / "config").read_bytes()) == before
    assert git("ls-tree", "--name-only", commit.id).splitlines() == sorted(each.name for each in folder.iterdir())


def test_without_git_the_error_says_so(repo, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeployRefused, match="git was not found on PATH"):
        read_commit(repo)
