"""Let a call take values and send results of any size, which travel over the connection instead of a log.

Values arrive in a file, which is mapped into memory: only what is read from it needs any. Results leave as they are
encoded.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from binascii import b2a_base64
from functools import partial

import heroku_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Places = Mapping[str, Mapping[str, Any]]

SAMPLE, WORTH = 2_000, 0.75  # bytes at a time that are compressed on trial, and the share of them that may be left
PART = heroku_task.MAX_LINE_BYTES - 100  # of the payload of a line
FORMATS = {"table": "dataframe", "bytes": "binary", "file": "path"}  # of parameters, by the kinds of values
COPY_BYTES = 1 << 20


class Transfer:
    """What one call takes and sends.

    files: have its values, if there are any: the first one its own, the others one value each that calls share. shared:
    where in the notebook's spool those are. values: where each argument is. load: imports our modules.
    """

    def __init__(
        self, files: list[int], shared: list[tuple[int, int, str]], values: Places, load: Callable[[str], Any]
    ) -> None:
        self._values, self._load = values, load
        self._folders: list[str] = []
        self._content = _SpoolContent([*map(_mapped, files)], [(at, size) for at, size, _ in shared])

    def begin(self, key: str, most: int) -> None:
        """Read and send for this call from now on. most: bytes that the notebook accepts as files."""
        heroku_task._sender = ConnectionSender(key)
        heroku_task.MAX_FILES_BYTES = most
        _current[:] = [self]

    def end(self) -> None:
        """Forget the values, and remove the files that the call has taken."""
        _current.clear()
        if self._folders:
            import shutil

            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)

    def _read_arguments(self, usual: Callable[..., dict[str, Any]], schema: Any, names: Any) -> dict[str, Any]:
        """Read the arguments of a task, some of which have arrived in the file."""
        properties = schema["properties"]
        ours = [*self._values]
        for name in ours:
            wanted, kinds = FORMATS.get(self._values[name]["kind"]), properties.get(name, {})
            if name not in properties or wanted not in [None, *(one.get("format") for one in _alternatives(kinds))]:
                raise heroku_task.TaskError(f"{name} is not declared as a parameter that takes such a value")
        left = {name: kind for name, kind in properties.items() if name not in ours}
        required = [name for name in schema["required"] if name not in ours]
        arguments = usual({**schema, "properties": left, "required": required}, names)
        for name in ours:
            value = self._load_value(self._values[name])
            is_text = self._values[name]["kind"] == "text"
            arguments[name] = heroku_task._read_text(value, properties[name], names) if is_text else value
        return arguments

    def _load_value(self, place: Mapping[str, Any]) -> Any:
        if place["kind"] == "file":
            return self._copy(place)
        data = self._content[place["at"] : place["at"] + place["size"]]
        if place["kind"] != "table":
            return data.decode("utf-8") if place["kind"] == "text" else data
        form = json.loads(data)
        decoder = self._load("heroku_typed_decoder").Decoder
        return decoder(None, partial(_build_table, self)).decode(form)

    def _copy(self, place: Mapping[str, Any]) -> Any:
        """Return the path of a file of this call, with the name that it has in the notebook."""
        from pathlib import Path
        from tempfile import mkdtemp

        self._folders.append(mkdtemp(prefix="heroku-"))
        path = Path(self._folders[-1], place["name"])
        with path.open("wb") as target:
            for at in range(place["at"], place["at"] + place["size"], COPY_BYTES):
                target.write(self._content[at : min(at + COPY_BYTES, place["at"] + place["size"])])
        return path

    def _read_data(self, usual: Callable[..., Any], program: Any, text: str) -> Any:
        """Return the values of a cell or a function."""
        if "RUN_DATA" not in self._values:
            return usual(program, text)
        place = self._values["RUN_DATA"]
        data = self._content[place["at"] : place["at"] + place["size"]]
        return dict(program._unpickle(data)) if place["kind"] == "pickle" else program._decode(data, None)


_current: list[Transfer] = []  # of the call that runs


def prepare(load: Callable[[str], Any]) -> None:
    """Let the helper and the driver of this process use the transfer of the call that runs."""
    driver, decoder, encoder, output = map(
        load, ("heroku_driver", "heroku_typed_decoder", "heroku_typed_json", "heroku_output")
    )
    driver._MAX_BODY_BYTES = sys.maxsize
    driver.RemoteProgram._build_table = _build_table
    decoder.Decoder._BY_TAG["json"] = lambda self, form: self.decode(json.loads(self._bytes(form)))
    # Each call has another transfer.
    _wrap(heroku_task, "_read_arguments", lambda *args: _current[0]._read_arguments(*args))  # noqa: PLW0108
    _wrap(driver.RemoteProgram, "read", lambda *args: _current[0]._read_data(*args))  # noqa: PLW0108
    _wrap(driver.RemoteCall, "_pickle", _pickle_items)
    _wrap(output, "to_base64", lambda usual, data: "" if isinstance(data, _Body) else usual(data))
    _wrap(encoder, "Encoder", lambda usual, chunks: usual(chunks, _Body()))
    _wrap(decoder, "Decoder", lambda usual, body, *more: usual(_current[0]._content if body is None else body, *more))


def _build_table(program: Any, chunks: Any) -> Any:
    return program._load("heroku_columns").build_frame(chunks, copy=False)


def _wrap(owner: Any, name: str, function: Callable[..., Any]) -> None:
    """Replace a function by one that gets it as its first argument."""
    usual = getattr(owner, name)
    setattr(owner, name, lambda *args: function(usual, *args))


def _alternatives(schema: Any) -> list[Any]:
    return [schema, *schema.get("anyOf", ())]


def _pickle_items(usual: Callable[..., Any], call: Any, value: Any, encoder: Any) -> Any:
    """Pickle what a function returned; of a list, only the items that need it."""
    if type(value) is not list:
        return usual(call, value, encoder)
    forms = []
    for item in value:
        try:
            forms.append(encoder.encode(item, "an item"))
        except TypeError:  # noqa: PERF203 - an item may be of any type
            forms.append(usual(call, item, encoder))
    return forms


def _mapped(file: int) -> Any:
    """Map a file into memory, read-only, so that a call cannot change what the next one gets."""
    import mmap

    size = os.fstat(file).st_size
    content = mmap.mmap(file, size, access=mmap.ACCESS_READ) if size else b""
    os.close(file)
    return content


class _SpoolContent:
    """What the notebook has in its spool: values of the call alone in the first part, each shared one in another.

    places: the offset and the size of each shared one.
    """

    def __init__(self, parts: list[Any], places: list[tuple[int, int]]) -> None:
        self._own = parts[0] if parts else b""
        self._shared = [*zip(places, parts[1:])]  # noqa: B905 - new in Python 3.10

    def __getitem__(self, span: slice) -> Any:
        """Return the bytes of a range, all of which belong to one value."""
        before = 0
        for (at, size), content in self._shared:
            if at <= span.start < at + size:
                return content[span.start - at : span.stop - at]
            before += size if at < span.start else 0
        return self._own[span.start - before : span.stop - before]


class ConnectionSender(heroku_task._Sender):
    """Writes whole records at once, and compresses only what shrinks well."""

    def __init__(self, run_key: str) -> None:
        super().__init__(run_key)
        if "_hashlib" in sys.modules:  # as pandas loads it
            fast_mac = sys.modules["heroku_receiver"].fast_mac
            self._mac = fast_mac(self)  # type: ignore[method-assign]

    def file(self, name: str, data: Any) -> None:
        """Send a complete file. Raises ValueError if the notebook would refuse it."""
        if self._file_bytes + len(data) > heroku_task.MAX_FILES_BYTES:
            raise ValueError(
                f"{name} is too large: the files of a run may have {heroku_task.MAX_FILES_BYTES:,} bytes in total. Set "
                "the environment variable HEROKU_MAGIC_RESULT_MB of the notebook to a larger number"
            )
        super().file(name, memoryview(data))  # type: ignore[arg-type]  # its parts are not copied

    def _send_text(self, kind: str, payload: str) -> None:
        if len(payload) > PART and payload[0] in "[{":
            payload = _pack(payload.encode("ascii"))
        lines = []
        for end in range(PART, len(payload) + PART, PART):
            part = kind if end >= len(payload) else f"{kind}+"
            text = payload[end - PART : end]
            mac = self._mac(f"{self._run_id} {self._nonce} {self._number} {part} {text}")
            self._checksum.update(mac.encode("ascii"))
            lines.append(f"@hm1 {self._nonce} {self._number} {part} {mac} {text}")
            self._number += 1
        heroku_task._write("\n".join(lines))

    def _send_packed(self, kind: str, header: Any, body: bytes) -> None:
        self._send_text(kind, _pack(heroku_task._to_json(header).encode("ascii") + b"\n" + body))


class _Body:
    """Sends the bytes of a value as an encoder adds them."""

    def __init__(self) -> None:
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return False  # nothing is left to be sent

    def __iadd__(self, data: Any) -> Any:
        sender, step = heroku_task._sender, heroku_task.CHUNK_BYTES
        view = memoryview(data)
        for at in range(0, len(view), step):
            with sender:
                sender._send_packed("body", {"at": self._size + at}, bytes(view[at : at + step]))
        self._size += len(view)
        return self


def _pack(data: bytes) -> str:
    """Compress a header and a body if that pays, as Base64."""
    sample = b"".join(data[at : at + SAMPLE] for at in range(0, len(data), max(len(data) // 8, SAMPLE)))
    pays = len(data) < heroku_task.MAX_BATCH_BYTES or len(zlib.compress(sample, 1)) < WORTH * len(sample)
    return b2a_base64(zlib.compress(data, 1 if pays else 0), newline=False).decode("ascii")
