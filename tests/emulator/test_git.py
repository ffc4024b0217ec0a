"""`git push`, `clone` and `fetch` at the embedded Heroku, by the git of this machine."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import socket
import ssl
import subprocess
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import psutil
import pytest
import requests
from emulators import Emulator, wait_until

pytestmark = pytest.mark.usefixtures("processes")

TASK = {"Procfile": "hello: python hello.py\n", "hello.py": "print('Hello')\n"}


class Clone:
    """A work tree and the git that is run in it, with the variables that the emulator prints."""

    def __init__(self, folder, emulator, app="", **environ):
        self.folder = folder
        self.url = f"https://{emulator.exports['HEROKU_GIT_HOST']}/{app}.git"
        author = {f"GIT_{who}_{what}": "me@invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.environ = {**os.environ, **author, "GIT_TERMINAL_PROMPT": "0", **emulator.exports, **environ}
        folder.mkdir(exist_ok=True)
        if not (folder / ".git").exists():
            self("init", "--quiet", "--initial-branch=main")

    def __call__(self, *words, status=0):
        """Run git; return all that it prints."""
        environ = {name: value for name, value in self.environ.items() if value is not None}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines())

    def commit(self, message="work", **files):
        for name, text in files.items():
            path = self.folder / name.replace("__", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", message)
        return self("rev-parse", "HEAD")

    def push(self, *words, status=0):
        return self("push", self.url, *(words or ["main"]), status=status)


@pytest.fixture(scope="module")
def heroku(make_folder):
    emulator = Emulator(make_folder(), "--time", "grace=0.4", certificate=True)
    yield emulator
    assert emulator.end() == ""


@pytest.fixture
def new(heroku, tmp_path):
    """Return a new app's name and a work tree that pushes to it."""

    def create(**environ):
        app = heroku.ask("POST", "/apps", 201, json={}).json()["name"]
        return app, Clone(tmp_path / app, heroku, app, **environ)

    return create


def runs(heroku, app, command):
    """The lines that a one-off dyno prints."""
    dyno = heroku.ask("POST", f"/apps/{app}/dynos", 201, json={"command": command}).json()
    url = heroku.ask("POST", f"/apps/{app}/log-sessions", 201, json={"dyno": dyno["name"], "tail": True}).json()
    with heroku.open(url["logplex_url"]) as log:
        lines = log.until(b"to complete")
    return [line.partition(b"]: ")[2].decode() for line in lines if b" app[" in line]


def test_a_push_is_built_released_and_can_be_cloned(heroku, new, tmp_path):
    app, tree = new()
    commit = tree.commit("The first commit", **{"Procfile": TASK["Procfile"], "hello.py": TASK["hello.py"]})
    said = tree.push()
    assert "remote: -----> Building on the Heroku-24 stack" in said
    assert "remote:        Procfile declares types -> hello" in said
    port = heroku.url.rpartition(":")[2]
    assert f"remote:        http://{app}.localhost:{port}/ deployed to Heroku" in said
    assert "remote: Verifying deploy... done." in said
    assert said.endswith("* [new branch]      main -> main")
    release = heroku.get(f"/apps/{app}/releases")[-1]
    assert (release["description"], release["status"]) == (f"Deploy {commit[:8]}", "succeeded")
    slug = heroku.get(f"/apps/{app}/slugs/{release['slug']['id']}")
    assert (slug["commit"], slug["commit_description"]) == (commit, "The first commit")
    assert runs(heroku, app, "hello") == ["Hello"]
    (build,) = heroku.get(f"/apps/{app}/builds")
    assert (build["status"], build["source_blob"]["version"]) == ("succeeded", commit)

    assert tree.push() == "Everything up-to-date"
    assert len(heroku.get(f"/apps/{app}/builds")) == 1

    tree("clone", "--quiet", tree.url, str(tmp_path / "copy"))
    copy = Clone(tmp_path / "copy", heroku)
    assert copy("log", "--format=%H %s %D") == f"{commit} The first commit HEAD -> main, origin/main, origin/HEAD"
    assert heroku.get(f"/apps/{app}")["git_url"] == tree.url


def test_a_broken_build_is_rejected_and_changes_nothing(heroku, new):
    app, tree = new()
    tree.folder.joinpath("secrets").symlink_to("/etc/passwd")
    tree.commit(**TASK)
    said = tree.push(status=1)
    assert "remote:  !     The source holds a link that leads outside the app: secrets" in said
    assert "remote:  !     Push rejected, failed to build." in said
    assert f"remote:  !\tPush rejected to {app}." in said
    assert "! [remote rejected] main -> main (pre-receive hook declined)" in said
    assert tree("ls-remote", tree.url) == ""
    assert [release["version"] for release in heroku.get(f"/apps/{app}/releases")] == [1]


@pytest.mark.parametrize("branch", ["develop", "feature/main", "v1.0"])
def test_other_branches_and_tags_are_stored_and_not_built(heroku, new, branch):
    app, tree = new()
    tree.commit(**TASK)
    ref = f"refs/tags/{branch}" if branch.startswith("v") else f"refs/heads/{branch}"
    said = tree.push(f"HEAD:{ref}")
    assert "remote: Pushed to branch other than [main, master], skipping build." in said
    assert tree("ls-remote", tree.url).endswith(ref)
    assert heroku.get(f"/apps/{app}/builds") == []


def test_a_forced_push_to_master_replaces_what_was_pushed(heroku, new, tmp_path):
    app, tree = new()
    tree.commit(**TASK)
    tree.push("main:master")
    tree("commit", "--quiet", "--amend", "--message", "rewritten")
    assert "(non-fast-forward)" in tree.push("main:master", status=1)
    assert "(forced update)" in tree.push("--force", "main:master")
    assert [build["status"] for build in heroku.get(f"/apps/{app}/builds")] == ["succeeded"] * 2
    tree("clone", "--quiet", tree.url, str(tmp_path / "copy"))
    assert Clone(tmp_path / "copy", heroku)("log", "--format=%s", "master") == "rewritten"


def test_the_deployed_branch_cannot_be_deleted_and_others_can(new):
    _, tree = new()
    tree.commit(**TASK)
    tree.push("main", "main:other")
    assert "remote:  !\tPush rejected, cannot delete main branch" in tree.push(":main", status=1)
    assert "[deleted]         other" in tree.push(":other")


def test_the_release_command_runs_before_the_push_ends(heroku, new):
    app, tree = new()
    tree.commit(**{**TASK, "Procfile": "release: echo migrated\nhello: python hello.py"})
    said = tree.push()
    assert "remote: migrated" in said
    assert "remote: Waiting for release.... done." in said
    assert heroku.get(f"/apps/{app}/releases")[-1]["status"] == "succeeded"


def test_a_repository_without_a_procfile_is_released_without_process_types(heroku, new):
    app, tree = new()
    tree.commit(**{"hello.py": TASK["hello.py"]})
    assert "Procfile declares types -> (none)" in tree.push()
    assert runs(heroku, app, "python hello.py") == ["Hello"]


def test_a_repository_with_one_folder_keeps_this_folder(heroku, new):
    app, tree = new()
    tree.commit(**{"app/hello.py": TASK["hello.py"]})
    tree.push()
    assert runs(heroku, app, "python app/hello.py") == ["Hello"]


def test_pointers_of_git_lfs_stay_pointers_whatever_filters_the_user_has(heroku, new, tmp_path):
    config = tmp_path / "gitconfig"
    config.write_text('[filter "lfs"]\n\tclean = cat\n\tsmudge = echo smudged\n\trequired = true\n')
    app, tree = new(GIT_CONFIG_GLOBAL=str(config))
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    tree.commit(**{"data.bin": pointer, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    tree.push()
    assert runs(heroku, app, "cat data.bin") == pointer.splitlines()


def test_attributes_of_the_user_do_not_change_the_files(start, make_folder, tmp_path):
    (tmp_path / "home" / ".config" / "git").mkdir(parents=True)
    (tmp_path / "home" / ".config" / "git" / "attributes").write_text("*.txt text eol=crlf\n")
    heroku = start(make_folder(), certificate=True, environ={"HOME": str(tmp_path / "home")})
    tree = Clone(tmp_path / "demo", heroku, "demo")
    tree.commit(**{**TASK, "lines.txt": "one\ntwo\n"})
    tree.push()
    assert runs(heroku, "demo", "wc -c <lines.txt") == ["8"]


@pytest.mark.parametrize(("pushed", "kind"), [("v1", "tag"), ("HEAD^{tree}", "tree"), ("HEAD:hello.py", "blob")])
def test_what_git_does_not_accept_as_a_branch_is_not_released(heroku, new, pushed, kind):
    app, tree = new()
    tree.commit(**TASK)
    tree("tag", "--annotate", "--message", "a release", "v1")
    number = tree("rev-parse", pushed)
    assert f"A branch takes commits only, not a {kind}." in tree.push(f"{number}:refs/heads/main", status=1)
    assert [release["version"] for release in heroku.get(f"/apps/{app}/releases")] == [1]
    assert "deployed to Heroku" in tree.push("v1^{}:refs/heads/main")


def test_of_two_pushes_at_once_one_is_released_and_is_the_branch(heroku, new, tmp_path):
    app, tree = new()
    other = Clone(tmp_path / "other", heroku, app)
    for each in (tree, other):
        each.commit(str(each.folder), **TASK)
    pushes = [
        subprocess.Popen(["git", "push", "--quiet", each.url, "main"], cwd=each.folder, env=each.environ, stderr=-1)
        for each in (tree, other)
    ]
    said = [push.communicate()[1] for push in pushes]
    assert sorted(push.returncode for push in pushes) == [0, 1], said
    _, release = heroku.get(f"/apps/{app}/releases")
    commit = heroku.get(f"/apps/{app}/slugs/{release['slug']['id']}")["commit"]
    assert tree("ls-remote", tree.url, "main").split() == [commit, "refs/heads/main"]


@pytest.fixture
def web(tmp_path):
    """A plain web server for a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "web"))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_submodules_are_fetched_by_http_and_not_from_this_machine(heroku, new, web, tmp_path):
    app, tree = new(GIT_CONFIG_COUNT="0", GIT_ALLOW_PROTOCOL="file:http:https")
    library = Clone(tmp_path / "library", heroku)
    library.commit(**{"answer.py": "print(42)\n"})
    library("clone", "--quiet", "--bare", str(library.folder), str(tmp_path / "web" / "library.git"))
    library("-C", str(tmp_path / "web" / "library.git"), "update-server-info")
    tree("submodule", "--quiet", "add", f"{web}/library.git", "vendor")
    tree.environ |= heroku.exports
    tree.commit(**TASK)
    tree.push()
    assert runs(heroku, app, "python vendor/answer.py; find . -name .git") == ["42"]
    tree("config", "--file=.gitmodules", "submodule.vendor.url", str(library.folder))
    tree.commit()
    assert "remote:  !     The submodules cannot be fetched" in tree.push(status=1)


def test_the_end_of_an_app_ends_the_fetch_of_a_submodule(heroku, new):
    app, tree = new()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/library.git"
        commit = tree.commit(**{**TASK, ".gitmodules": f'[submodule "lib"]\n\tpath = lib\n\turl = {url}\n'})
        tree("update-index", "--add", "--cacheinfo", f"160000,{commit},lib")
        tree("commit", "--quiet", "--message", "a submodule")
        push = subprocess.Popen(["git", "push", tree.url, "main"], cwd=tree.folder, env=tree.environ, stderr=-1)
        connection, _ = silent.accept()
        wait_until(lambda: fetching(url))
        heroku.ask("DELETE", f"/apps/{app}")
        assert b"Push rejected" in push.communicate()[1]
        wait_until(lambda: not fetching(url))
        connection.close()


def fetching(url):
    return [each for each in psutil.process_iter(["cmdline"]) if url in (each.info["cmdline"] or ())]


def test_a_repository_of_fifty_megabytes_arrives_in_chunks(heroku, new):
    app, tree = new()
    with (tree.folder / "data.bin").open("wb") as file:
        file.write(os.urandom(50_000_000))
    tree("config", "core.compression", "0")
    tree.commit(**TASK)
    tree.push()
    assert runs(heroku, app, "wc -c <data.bin") == ["50000000"]


def test_git_needs_the_token_and_nothing_stores_it(heroku, new, tmp_path):
    store = tmp_path / "stored"
    config = tmp_path / "gitconfig"
    config.write_text(f"[credential]\n\thelper = store --file={store}\n")
    _, tree = new(GIT_CONFIG_GLOBAL=str(config))
    tree.commit(**TASK)
    tree.push()
    assert not store.exists()
    traces = (path.read_bytes() for path in tree.folder.rglob("*") if path.is_file())
    assert not any(heroku.token.encode() in text for text in traces)
    tree.environ["HEROKU_API_KEY"] = "wrong"
    said = tree.push("HEAD:main", status=128)
    assert "remote: !\tInvalid credentials provided." in said
    assert f"Authentication failed for '{tree.url}/'" in said
    narrow = heroku.ask("POST", "/oauth/authorizations", 201, json={"scope": ["read-protected"]}).json()
    tree.environ["HEROKU_API_KEY"] = narrow["access_token"]["token"]
    assert "main" in tree("ls-remote", tree.url)
    assert "This token has the scope read-protected" in tree.push("HEAD:other", status=128)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "info/refs?service=git-upload-pack"), ("POST", "git-upload-pack"), ("POST", "git-receive-pack")],
)
def test_no_page_no_other_name_and_no_stranger_gets_into_a_repository(start, make_folder, method, path):
    heroku = start(make_folder(), "--allow-origin", "http://127.0.0.1:8000", certificate=True)
    url = f"https://{heroku.exports['HEROKU_GIT_HOST']}/demo.git/{path}"
    port = url.split("/")[2].partition(":")[2]
    known = {"Authorization": f"Bearer {heroku.token}"}
    for status, headers in (
        (401, {}),
        (401, {"Authorization": "Bearer wrong"}),
        (401, {"Cookie": f"token={heroku.token}"}),
        (403, {**known, "Host": f"rebound.example:{port}"}),
        (403, {**known, "Origin": "null"}),
        (403, {**known, "Origin": "https://pages.example"}),
        (403, {**known, "Origin": "http://127.0.0.1:8000"}),
    ):
        answer = requests.request(
            method, url, headers=headers, verify=heroku.exports["NODE_EXTRA_CA_CERTS"], timeout=20
        )
        assert (answer.status_code, answer.text[:2]) == (status, "!\t"), headers
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_unknown_app_is_reported_in_the_words_of_heroku(new):
    _, tree = new()
    tree.commit(**TASK)
    tree.url = tree.url.replace(tree.folder.name, "nobodys-app")
    assert "remote: !\tNo such app as nobodys-app." in tree.push(status=128)


def test_settings_for_git_are_added_to_those_of_the_environment(start, make_folder):
    mine = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Me"}
    exports = start(make_folder(), certificate=True, environ=mine).exports
    number = int(exports["GIT_CONFIG_COUNT"])
    keys = {exports[f"GIT_CONFIG_KEY_{index}"] for index in range(1, number)}
    url = f"https://{exports['HEROKU_GIT_HOST']}/"
    assert keys == {f"http.{url}.sslCAInfo", f"http.{url}.sslCAPath", f"http.{url}.proxy", f"credential.{url}.helper"}
    assert "GIT_CONFIG_KEY_0" not in exports
    assert "GIT_SSL_CAINFO" not in exports


def test_a_compressed_body_is_read(heroku, new):
    _, tree = new()
    tree.commit(**TASK)
    tree.push()
    commit = tree("rev-parse", "HEAD")
    body = f"0032want {commit}\n00000009done\n".encode()
    answer = requests.post(
        f"{tree.url}/git-upload-pack",
        data=gzip.compress(body),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/x-git-upload-pack-request"},
        auth=("", heroku.token),
        verify=heroku.exports["NODE_EXTRA_CA_CERTS"],
        timeout=20,
    )
    assert answer.content.startswith(b"0008NAK\nPACK")


def test_a_push_that_breaks_off_leaves_no_process(heroku, new):
    app, _ = new()
    host, port = heroku.exports["HEROKU_GIT_HOST"].split(":")
    context = ssl.create_default_context(cafile=heroku.exports["NODE_EXTRA_CA_CERTS"])
    token = base64.b64encode(f":{heroku.token}".encode()).decode()
    with context.wrap_socket(socket.create_connection((host, int(port)), 5), server_hostname=host) as connection:
        head = f"POST /{app}.git/git-receive-pack HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Basic {token}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n0094".encode())
        wait_until(lambda: receivers(heroku))
    wait_until(lambda: not receivers(heroku))


def receivers(heroku):
    return [child for child in psutil.Process(heroku.process.pid).children() if child.name() == "git"]


def test_a_tls_handshake_at_the_plain_port_ends_the_connection_at_once(heroku):
    host, port = heroku.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(bytes.fromhex("160301020001000200"))
        assert connection.recv(100) == b""


def test_without_git_the_error_names_what_is_missing(start, make_folder, tmp_path):
    (tmp_path / "bash").symlink_to(shutil.which("bash"))
    emulator = start(make_folder(), certificate=True, environ={"PATH": str(tmp_path)})
    answer = requests.get(
        f"https://{emulator.exports['HEROKU_GIT_HOST']}/demo.git/info/refs?service=git-receive-pack",
        auth=("", emulator.token),
        verify=emulator.exports["NODE_EXTRA_CA_CERTS"],
        timeout=20,
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/plain")
    assert "git was not found on the PATH of the embedded Heroku. Install git there" in answer.text


def test_repositories_outlive_the_emulator_with_its_state(start, make_folder, tmp_path):
    options = ("--state", str(tmp_path / "state"))
    first = start(make_folder(), *options, certificate=True)
    first.ask("POST", "/apps", 201, json={"name": "kept"})
    tree = Clone(tmp_path / "kept", first, "kept")
    tree.commit(**TASK)
    tree.push()
    first.process.stdin.close()
    first.process.wait(10)
    second = start(make_folder(), *options, certificate=True)
    tree.environ |= second.exports
    tree.url = second.get("/apps/kept")["git_url"]
    assert tree.push() == "Everything up-to-date"
    second.ask("DELETE", "/apps/kept")
    assert list((tmp_path / "state" / "repositories").iterdir()) == []
