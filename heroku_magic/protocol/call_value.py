"""Decode the value that a function returned on a dyno."""

from __future__ import annotations

import json
from binascii import a2b_base64
from functools import partial
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.tables import read_table, split_buffers
from heroku_magic.protocol.typed_decoder import TAG, Decoder
from heroku_magic.text.redact import NO_MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

    from heroku_magic.protocol.tables import Table
    from heroku_magic.text.redact import Mask

_DATA = frozenset({"bytes", "bytearray", "int", "Decimal", "UUID", "date", "time", "datetime"})  # not text to show


def decode_row(row: Any, mask: Mask, body: bytes | bytearray = b"", *, allow_pickle: bool) -> dict[str, Any]:
    """Return the row of a function's value with that value as it was on the dyno.

    body: the bytes of the value that arrived before the row, unless the row has them. allow_pickle: whether a pickle is
    loaded, which can run any code; items of a list may be pickles, too. Raises ValueError for what cannot be decoded.
    """
    if not isinstance(row, dict) or "value" not in row:
        raise ValueError("a row of a function has no value")
    own = a2b_base64(row["body"]) if "body" in row else body
    decoder = Decoder(own, partial(_build, mask), mask.text)

    def value_of(form: Any) -> Any:
        if not isinstance(form, dict) or form.get(TAG) != "pickle":
            return decoder.decode(form)
        if not allow_pickle:
            raise ValueError("the value is a pickle, which is loaded only with allow_pickle=True")
        return _unpickle(a2b_base64(form["v"]) if "v" in form else body)

    form = row["value"]
    return {"value": [value_of(item) for item in form] if isinstance(form, list) else value_of(form)}


def _build(mask: Mask, chunks: Iterable[tuple[dict[str, Any], bytes]]) -> pd.DataFrame:
    """Return the DataFrame of chunks as (header, bytes), which are checked."""
    from heroku_magic.protocol.dataframe import frame

    table = frame([read_table(header, body).redacted(mask) for header, body in chunks], {})
    table.attrs.clear()
    return table


def restore(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return a function's DataFrame with its index, which the first columns hold, and its objects."""
    if table.call is None:
        return frame
    call, attrs = table.call, frame.attrs
    decoder = Decoder(_body(call), partial(_build, NO_MASK))
    if count := call["levels"]:
        frame = frame.iloc[:, count:]
        frame.index = decoder.decode(call["index"])
    decoder.restore_objects(frame, call["objects"])
    frame.columns = decoder.decode(call["labels"])
    frame.attrs = {**decoder.decode(call["attrs"]), **attrs}
    return frame


def redacted(call: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """Return what a function's DataFrame has besides its columns, with stars for secrets in the texts."""
    if not mask:
        return {**call}
    hidden = _Redaction(_body(call), mask)
    forms = {name: hidden.form(form) for name, form in call.items() if name != "body"}
    return {**forms, "body": bytes(hidden.body)}


class _Redaction:
    """Copies typed JSON, and the bytes that it refers to into a new `body`, with stars for secrets."""

    def __init__(self, body: bytes | bytearray, mask: Mask) -> None:
        self.body = bytearray()
        self._body = body
        self._mask = mask

    def form(self, form: Any) -> Any:
        if isinstance(form, list):
            return [self.form(item) for item in form]
        if not isinstance(form, dict):
            return self._mask.value(form)
        if form.get(TAG) in _DATA:
            return form
        copy = {self._mask.text(key): self.form(item) for key, item in form.items() if key != "chunks"}
        if TAG in form and "chunks" in form:
            return {**copy, "chunks": [self._chunk(chunk) for chunk in form["chunks"]]}
        return {**copy, **self._append(self._data(form))} if TAG in form and "at" in form else copy

    def _data(self, form: Mapping[str, Any]) -> bytes:
        data = self._bytes(form)
        if form[TAG] != "long" or form["of"] != "str":
            return data
        return self._mask.text(data.decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")

    def _chunk(self, chunk: Mapping[str, Any]) -> dict[str, Any]:
        buffers = split_buffers(chunk["sizes"], self._bytes(chunk))
        parts = [part for column in chunk["columns"] for part in self._buffers(column, buffers)]
        return {**self._mask.value(chunk), "sizes": [*map(len, parts)], **self._append(b"".join(parts))}

    def _buffers(self, column: Mapping[str, Any], buffers: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the buffers of a column, as the worker's README lists them."""
        if column["coding"] == "json":
            yield json.dumps(self._mask.value(json.loads(next(buffers)))).encode("ascii")
            return
        yield from [next(buffers) for _ in range(2 if column.get("mask") else 1)]
        if "of" in column:
            yield from self._buffers(column["of"], buffers)

    def _bytes(self, form: Mapping[str, Any]) -> bytes:
        return bytes(self._body[form["at"] : form["at"] + form["size"]])

    def _append(self, data: bytes) -> dict[str, int]:
        location = {"at": len(self.body), "size": len(data)}
        self.body += data
        return location


def _body(call: Mapping[str, Any]) -> bytes | bytearray:
    body: str | bytes | bytearray = call["body"]
    return a2b_base64(body) if isinstance(body, str) else body


def _unpickle(data: bytes | bytearray) -> Any:
    import pickle

    try:
        return pickle.loads(data)  # noqa: S301 - the caller has allowed it
    except Exception as error:  # noqa: BLE001 - unpickling may run any code
        message = f"the value cannot be unpickled here: {type(error).__name__}: {error}"
        raise ValueError(message) from None
