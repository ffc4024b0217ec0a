"""What a user requested, in a form that the ledger can keep: it holds no secrets and no large inputs."""

from __future__ import annotations

from typing import Any

import msgspec


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The request of a run.

    app, folder: where it ran; the embedded Heroku serves a folder. kind: "task", "command", "cell", "function", or
    "pool" for all calls of one. task: the name as it was given; None for the default. code: the text of a cell, a
    command or a function. code_hash: of that text, or of a function with all that it uses. bundle: a function's
    program. values: parameters as typed JSON. raw: names whose values were typed on a line. hashes: of all values;
    those without a value are inputs. secrets: names. options: those of the run that differ from their defaults. slug,
    release: the checksum of the app's code (its id if it has none, the hash of a served folder) and its release number,
    as far as they are known. base: what cached answers are found by, besides the hashes; empty if there must be none.
    declared: the parameters that the task declares. may_cache: whether it declares that it may be cached. is_kept:
    whether the ledger may keep the run. is_masked: the code contained a secret that is left out. A value without a hash
    contained one, too.
    """

    app: str = ""
    folder: str = ""
    kind: str = "task"
    task: str | None = None
    code: str = ""
    code_hash: str = ""
    bundle: str = ""
    values: dict[str, Any] = {}
    raw: list[str] = []
    hashes: dict[str, str] = {}
    secrets: list[str] = []
    options: dict[str, Any] = {}
    slug: str = ""
    release: int = 0
    base: str = ""
    declared: list[str] | None = None
    may_cache: bool = False
    is_kept: bool = True
    is_masked: bool = False
