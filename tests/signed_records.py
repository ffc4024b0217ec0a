"""Signed records, as the worker's helper prints them."""

from __future__ import annotations

import hashlib
import hmac
import json

from heroku_magic.protocol.records import RunKey

SECRET = bytes(range(32))
KEY = RunKey("hm-0123abcd", SECRET)
NONCE = "00c0ffee"


def record(number, kind, data, *, nonce=NONCE, key=SECRET, run="hm-0123abcd", version=1):
    payload = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    mac = hmac.digest(key, f"{run} {nonce} {number} {kind} {payload}".encode(), "sha256").hex()[:24]
    return f"@hm{version} {nonce} {number} {kind} {mac} {payload}"


def end_of(lines, status=0, rows=0, *, nonce=NONCE):
    """The end record of these lines."""
    checksum = hashlib.sha256("".join(line.split(" ")[4] for line in lines).encode()).hexdigest()[:24]
    return record(len(lines), "end", {"status": status, "rows": rows, "checksum": checksum}, nonce=nonce)
