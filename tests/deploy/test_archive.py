"""The same folder gives the same bytes, ignored files are left out, and secrets and special files are refused by name."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
from base64 import b64encode
from pathlib import Path

import pytest

from heroku_magic.deploy.archive import pack
from heroku_magic.deploy.syntax import NOT_DECODED
from heroku_magic.errors import DeployRefused


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "worker"
    folder.mkdir()
    return folder


def write(folder, **files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def names(package):
    with tarfile.open(fileobj=package.file) as tar:
        return tar.getnames()


def issues(folder, **options):
    with pytest.raises(DeployRefused) as caught:
        pack(folder, **options)
    return caught.value.issues


def test_an_archive_contains_the_files_unchanged(folder):
    write(folder, Procfile="task: ./run", run="#!/bin/sh\n", **{"data/é ü.bin": bytes(range(256))})
    (folder / "run").chmod(0o700)
    (folder / "link").symlink_to("data/é ü.bin")
    package = pack(folder)
    assert package.checksum == f"SHA256:{hashlib.sha256(package.file.read()).hexdigest()}"
    package.file.seek(0)
    with tarfile.open(fileobj=package.file) as tar:
        assert tar.getnames() == ["Procfile", "data/é ü.bin", "link", "run"]
        assert tar.extractfile("data/é ü.bin").read() == bytes(range(256))
        assert tar.getmember("link").linkname == "data/é ü.bin"
        assert [tar.getmember(name).mode for name in ("Procfile", "run")] == [0o644, 0o755]


def test_the_same_files_give_the_same_checksum_in_any_place_at_any_time(folder, tmp_path):
    write(folder, a="1", b="2", **{"c/d": "3"})
    first = pack(folder)
    other = tmp_path / "elsewhere"
    other.mkdir()
    write(other, **{"c/d": "3"}, b="2", a="1")
    os.utime(other / "a", (1, 1))
    (other / "b").chmod(0o600)
    assert pack(other).checksum == first.checksum
    write(other, a="changed")
    assert pack(other).checksum != first.checksum


def test_ignored_and_unneeded_files_are_left_out(folder):
    write(
        folder,
        **{
            ".slugignore": "*.ipynb\n/docs/\n",
            ".gitignore": "*.log\n!keep.log\n.env\n",
            "sub/.gitignore": "*.csv\n",
            "keep.log": "",
            "drop.log": "",
            ".env": "SECRET=1",
            "play.ipynb": "",
            "docs/a.md": "",
            "sub/docs/b.md": "",
            "sub/data.csv": "",
            "data.csv": "",
            "__pycache__/x.pyc": "",
            "venv/pyvenv.cfg": "",
            "venv/lib/x.py": "",
            ".git/config": "",
            ".heroku/env": "",
        },
    )
    assert names(pack(folder)) == [
        ".gitignore",
        ".slugignore",
        "data.csv",
        "keep.log",
        "sub/.gitignore",
        "sub/docs/b.md",
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".gitignore": b"\xef\xbb\xbfprivate/\n", "private/a": "", "a": ""}, ["a"]),
        ({".slugignore": b"\xef\xbb\xbf*.bin\r\n", "a.bin": "", "a": ""}, ["a"]),
        ({".gitignore": "*.csv\n", "data/.gitignore": "!b.csv\n", "data/a.csv": "", "data/b.csv": ""}, ["data/b.csv"]),
        ({".gitignore": "*.csv\n!b.csv\n", "a.csv": "", "b.csv": "", "sub/b.csv": ""}, ["b.csv", "sub/b.csv"]),
        ({".gitignore": "!b.csv\n*.csv\n", "b.csv": ""}, []),
        ({".gitignore": "data/\n!data/b\n", "data/.gitignore": "!b\n", "data/b": ""}, []),
        ({".gitignore": "data/*\n!data/b\n", "data/a": "", "data/b": ""}, ["data/b"]),
        ({".gitignore": "*\n!*/\n!*.py\n", "a.txt": "", "b.py": "", "sub/c.py": "", "sub/d": ""}, ["b.py", "sub/c.py"]),
        ({"sub/.gitignore": "/a\n", "a": "", "sub/a": "", "sub/x/a": ""}, ["a", "sub/x/a"]),
        ({".gitignore": "a  \nb\\ \n", "a": "", "b ": "", "b": ""}, ["b"]),
        ({".gitignore": "\\#a\n#b\n\\!c\n", "#a": "", "#b": "", "!c": "", "b": ""}, ["#b", "b"]),
        ({".gitignore": "a/**/z\n**/y\n", "a/z": "", "a/b/c/z": "", "z": "", "b/y": ""}, ["z"]),
        ({".gitignore": "!\n[\na\n", "a": "", "b": ""}, ["b"]),
        ({".slugignore": "*.md\n", ".gitignore": "!a.md\n", "a.md": "", "b": ""}, ["b"]),
        ({"sub/.slugignore": "*.md\n", "sub/a.md": ""}, ["sub/a.md"]),
        ({".gitignore": "link/\n", "a": ""}, ["a", "link"]),
        ({".gitignore": "**/data/**\n", "sub/data/a": "", "b": ""}, ["b"]),
        ({".gitignore": "*\n!src/\n!src/**\n", "src/a/b": "", "c": ""}, ["src/a/b"]),
        ({".gitignore": "[[:upper:]]*\n", "A": "", "a": ""}, ["a"]),
    ],
)
def test_ignore_files_are_read_as_git_reads_them(folder, files, expected):
    write(folder, **files)
    if "link" in expected:
        (folder / "link").symlink_to(".")
    assert [name for name in names(pack(folder)) if not name.endswith("ignore")] == expected


def test_a_link_that_leaves_the_folder_on_its_way_is_refused(folder):
    write(folder, **{"a/b/c": "", "d": ""})
    (folder / "down").symlink_to("a/b")
    (folder / "fine").symlink_to("down/../../d")
    (folder / "round").symlink_to("../worker/d")
    assert issues(folder) == ["round is a link out of the folder, and only the folder is sent."]


def test_the_text_behind_a_link_is_checked(folder):
    write(folder, **{"Procfile.heroku": "a: b", "src/a.py": "x = 1"})
    (folder / "Procfile").symlink_to("Procfile.heroku")
    (folder / "b.py").symlink_to("src/a.py")
    assert pack(folder).texts == {"Procfile": "a: b", "b.py": "x = 1", "src/a.py": "x = 1"}


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    write(folder, **{"data/a": ""})
    real = os.scandir

    def scandir(path):
        if Path(path).name == "data":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert issues(folder) == ["data cannot be read (Permission denied): make it readable, or name it in .slugignore."]
    write(folder, **{".slugignore": "data/\n"})
    assert pack(folder).names == [".slugignore"]


def test_links_in_a_circle_are_sent_as_they_are(folder):
    (folder / "b").symlink_to("a")
    (folder / "a").symlink_to("b")
    (folder / "self").symlink_to("./self")
    (folder / "gone").symlink_to("nowhere")
    package = pack(folder)
    assert names(package) == ["a", "b", "gone", "self"]
    assert package.warnings == [f"{name} is a link that leads back to itself." for name in ("a", "b", "self")]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.py", b"\xef\xbb\xbfx = 1\r\n", "x = 1\n"),
        ("a.py", b"# coding: latin-1\nx = '\xe4'\n", "# coding: latin-1\nx = '\xe4'\n"),
        ("a.py", b"x = '\xe4'\n", NOT_DECODED),
        ("a.py", b"# coding: unknown\nx = 1\n", NOT_DECODED),
        ("a.py", b"# coding: rot13\nk = 1\n", NOT_DECODED),
        ("a.py", b"\xef\xbb\xbf# coding: latin-1\nx = 1\n", NOT_DECODED),
        ("requirements.txt", "\ufeffpandas\n".encode(), "pandas\n"),
        ("requirements.txt", "\ufeffpandas\n".encode("utf-16-le"), "pandas\n"),
        ("requirements.txt", "\ufeffpandas\n".encode("utf-16-be"), "pandas\n"),
        ("Procfile", "\ufeffa: b".encode(), "\ufeffa: b"),
        (".python-version", b"\xff\xfe3\0", "\ufffd\ufffd3\0"),
    ],
)
def test_texts_are_decoded_as_their_reader_decodes_them(folder, name, content, text):
    write(folder, **{name: content})
    assert pack(folder).texts == {name: text}


SECRET_NAMES = """
.ENV prod.env .envrc ID_RSA id_rsa.pem key.pem tls-key.pem server.key config/master.key .ssh/known x.ppk x.jks my.kdbx
.npmrc .pypirc .git-credentials .pgpass .htpasswd .vault-token terraform.tfstate .terraformrc kubeconfig .kube/config
.aws/credentials .AWS/Config home/.docker/config.json .config/gh/hosts.yml .databricks-connect .bash_history
.Env~ prod.env~ deploy_rsa ssh_host_ed25519_key x.bcfks wg0.conf secring.gpg .authinfo docker-config.json .fly/config.yml
prod.tfvars.json .vault_pass serviceAccountKey.json sftp-config.json FileZilla.xml rclone.conf kernel-1a.json .m2/settings.xml
.ipython/history.sqlite .streamlit/secrets.toml secrets.yml Credentials.csv client_secret_1.json my-service-account.json
"""
TOKENS = [
    "github_pat_11ABCDEFG0" + "a" * 60,
    "AIza" + "b" * 35,
    "xoxb-123456789012-abcdef",
    "sk_live_" + "c" * 24,
    "sk-proj-" + "d" * 40,
    "a\\nsk-" + "e1" * 24,
    "sk-ant-api03-" + "f" * 40,
    "hf_" + "G" * 34,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIyIn0.abc",
    "HEROKU_API_KEY=01234567-89ab-cdef-0123-456789abcdef",
    '"api_token": "01234567-89AB-CDEF-0123-456789ABCDEF"',
    ("HRKU-AA" + "h" * 58).encode("utf-16"),
    "sk-ant-api03-" + "a1B-_d" * 15,
    "whsec_" + "a1B2" * 8,
    "xapp-1-A012345-6789-" + "a1" * 32,
    "npm_" + "a1B2" * 9,
    "gsk_" + "a1B2" * 13,
    "GOCSPX-" + "a1B-" * 7,
    "shpat_" + "a1b2" * 8,
    "hvs." + "a1B-" * 24,
    "dckr_pat_" + "a1B-" * 7,
    "https://discord.com/api/webhooks/123456789012345678/" + "a1B-" * 17,
    "AGE-SECRET-KEY-1" + "QP" * 29,
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "    client-key-data: " + "TFMw" * 20,
    "PrivateKey = " + "a1B2" * 10 + "abc=",
    b64encode(b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"),
    b64encode(b"-----BEGIN PRIVATE KEY-----\nMIIE"),
    "#" * 1_000_001 + "\n-----BEGIN RSA PRIVATE KEY-----",
]
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env", "A=1"),
        (".env.local", "A=1"),
        (".netrc", ""),
        ("sub/id_ed25519", ""),
        ("server.pem", PEM),
        ("settings.py", f'KEY = """{PEM}"""'),
        ("play.ipynb", '{"source": ["token = \'HRKU-AA' + "a" * 58 + "'\"]}"),
        ("aws.ipynb", "AKIA" + "A" * 16),
        *((name, "a = 1\n") for name in SECRET_NAMES.split()),
        *((f"token{number}.txt", token) for number, token in enumerate(TOKENS)),
    ],
)
def test_a_file_that_looks_like_a_secret_is_refused_unless_allowed(folder, name, content):
    write(folder, **{name: content, "ok.py": "x = 1"})
    (issue,) = issues(folder)
    assert issue.startswith(f"{name} holds ")
    assert f"--allow {name}" in issue
    assert name in names(pack(folder, allow=[name]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env.example", "A="),
        ("secrets.sample.yml", "a: b"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("id_rsa.pub", "ssh-rsa AAAA"),
        ("secrets.py", "import os\n"),
        ("keys.py", "if text.startswith('-----BEGIN PRIVATE KEY-----'):\n"),
        ("monkey.txt", "a monkey"),
        ("environment.yml", "name: x"),
        ("data.json", '{"key": "v", "id": "01234567-89ab-cdef-0123-456789abcdef"}'),
        ("model.py", "primary_key = '01234567-89ab-cdef-0123-456789abcdef'"),
        ("hash.txt", "sha1: da39a3ee5e6b4b0d3255bfef95601890afd80709 AKIA"),
        ("image.bin", bytes(range(256)) * 100),
        ("cert.yml", b64encode(b"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n")),
        ("names.txt", "npm_config_cache_of_the_build_environment_2 secret_of_the_long_name_of_a_variable_in_code_1"),
        ("hsv.py", "hvs.saturation_and_value_of_the_image, xai-explanations-of-a-model, sl.index"),
    ],
)
def test_samples_public_certificates_and_ordinary_files_are_accepted_in_silence(folder, name, content):
    write(folder, **{name: content})
    package = pack(folder)
    assert (names(package), package.warnings) == ([name], [])


@pytest.mark.parametrize(
    ("name", "content", "warning"),
    [
        (
            "gcp-key.json",
            "{}",
            "gcp-key.json may hold secrets, judging by its name: if it does, name it in .slugignore.",
        ),
        ("API_KEY.txt", "x", "API_KEY.txt may hold secrets, judging by its name: if it does, name it in .slugignore."),
        ("env.sh", "A=1", "env.sh may hold secrets, judging by its name: if it does, name it in .slugignore."),
        (
            "docs.md",
            "postgres://user:pass@localhost/db",
            "docs.md may hold a token: if it does, name it in .slugignore.",
        ),
        ("sums.txt", "12345678:" + "da39a3ee5e" * 4, "sums.txt may hold a token: if it does, name it in .slugignore."),
    ],
)
def test_a_false_alarm_is_only_a_warning(folder, name, content, warning):
    write(folder, **{name: content})
    package = pack(folder)
    assert (names(package), package.warnings) == ([name], [warning])
    assert pack(folder, allow=[name]).warnings == []


@pytest.mark.parametrize(
    "text",
    [
        '<a href="/desk-organizer-with-many-small-drawers-and-one-large-shelf">',
        "https://example.org/flask-mega-tutorial-part-i-hello-world-and-more",
        "sk-learn-is-not-the-name-of-a-package-that-anybody-should-install",
        "task-0123456789abcdef0123456789abcdef0123456789abcdef",
        "risk-0123456789abcdefghijABCDEFGHIJ0123456789",
    ],
)
def test_words_are_not_tokens(folder, text):
    write(folder, **{"page.html": text})
    assert names(pack(folder)) == ["page.html"]


def test_all_problems_are_reported_at_once(folder):
    write(folder, **{".env": "A=1", "closed": "x"})
    os.mkfifo(folder / "pipe")
    (folder / "out").symlink_to("/etc/hostname")
    (folder / "up").symlink_to("../elsewhere")
    text = "\n".join(issues(folder))
    for part in (".env holds", "pipe is neither a file nor a link", "out is a link out", "up is a link out"):
        assert part in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(folder):
    write(folder, closed="x")
    (folder / "closed").chmod(0)
    assert issues(folder) == ["closed cannot be read (Permission denied)."]


def test_a_file_that_disappears_while_it_is_packed_is_named(folder, monkeypatch):
    write(folder, here="x")
    monkeypatch.setattr("heroku_magic.deploy.archive.included_files", lambda folder: ["gone", "here"])
    assert issues(folder) == ["gone cannot be read (No such file or directory)."]


def test_a_file_that_changes_while_it_is_packed_is_named(folder, monkeypatch):
    write(folder, busy="x" * 100)
    opened = Path.open

    def open_and_change(self, *args, **kwargs):
        file = opened(self, *args, **kwargs)
        if self.name == "busy" and args == ("rb",):
            thread = threading.Thread(target=lambda: os.truncate(self, 50))
            thread.start()
            thread.join()
        return file

    monkeypatch.setattr(Path, "open", open_and_change)
    assert issues(folder) == ["busy changed while it was packed. Try again."]


@pytest.mark.large
def test_ten_thousand_files_are_packed(folder):
    for number in range(10_000):
        (folder / f"{number:05}").touch()
    package = pack(folder)
    assert len(package.names) == 10_000


def test_an_archive_over_the_limits_is_refused(folder, monkeypatch):
    monkeypatch.setattr("heroku_magic.deploy.archive.LARGEST_FOLDER", 10)
    write(folder, a="x" * 11)
    assert issues(folder) == ["The folder has 11 bytes, and Heroku accepts at most 10."]


def test_a_missing_folder_is_refused(tmp_path):
    assert "is not a folder" in issues(tmp_path / "nothing")[0]


def test_the_largest_top_level_entries_are_named(folder):
    write(folder, small="x", **{"data/a": "x" * 50, "data/b/c": "x" * 50, "model.bin": "x" * 99})
    assert pack(folder).largest(2) == [("data/", 100), ("model.bin", 99)]
