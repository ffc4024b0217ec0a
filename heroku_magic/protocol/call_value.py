"""Decode the value that a function returned on a dyno."""

from __future__ import annotations

from binascii import a2b_base64
from typing import TYPE_CHECKING, Any

from heroku_magic.protocol.tables import read_table
from heroku_magic.protocol.typed_decoder import TAG, Decoder
from heroku_magic.text.redact import NO_MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from heroku_magic.protocol.tables import Table
    from heroku_magic.text.redact import Mask


def decode_row(row: Any, mask: Mask, body: bytes | bytearray = b"", *, allow_pickle: bool) -> dict[str, Any]:
    """Return the row of a function's value with that value as it was on the dyno.

    body: the bytes of the value that arrived before the row, unless the row has them. allow_pickle: whether a pickle is
    loaded, which can run any code; items of a list may be pickles, too. Raises ValueError for what cannot be decoded.
    """
    if not isinstance(row, dict) or "value" not in row:
        raise ValueError("a row of a function has no value")
    own = a2b_base64(row["body"]) if "body" in row else body
    decoder = Decoder(own, _Builder(mask), mask.text)

    def value_of(form: Any) -> Any:
        if not isinstance(form, dict) or form.get(TAG) != "pickle":
            return decoder.decode(form)
        if not allow_pickle:
            raise ValueError("the value is a pickle, which is loaded only with allow_pickle=True")
        return _unpickle(a2b_base64(form["v"]) if "v" in form else body)

    form = row["value"]
    return {"value": [value_of(item) for item in form] if isinstance(form, list) else value_of(form)}


class _Builder:
    """Builds a DataFrame of chunks as (header, bytes), which are checked."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def __call__(self, chunks: Iterable[tuple[dict[str, Any], bytes]]) -> pd.DataFrame:
        from heroku_magic.protocol.dataframe import frame

        table = frame([read_table(header, body).redacted(self._mask) for header, body in chunks], {})
        table.attrs.clear()
        return table


def restore(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return a function's DataFrame with its index, which the first columns show, and its objects."""
    if table.call is None:
        return frame
    call, attrs = table.call, frame.attrs
    body = a2b_base64(call["body"]) if isinstance(call["body"], str) else call["body"]
    decoder = Decoder(body, _Builder(NO_MASK))
    if count := call["levels"]:
        frame = frame.iloc[:, count:]
        frame.index = decoder.decode(call["index"])
    decoder.restore_objects(frame, call["objects"])
    frame.columns = decoder.decode(call["labels"])
    frame.attrs = {**decoder.decode(call["attrs"]), **attrs}
    return frame


def _unpickle(data: bytes | bytearray) -> Any:
    import pickle

    try:
        return pickle.loads(data)  # noqa: S301 - the caller has allowed it
    except Exception as error:  # noqa: BLE001 - unpickling may run any code
        message = f"the value cannot be unpickled here: {type(error).__name__}: {error}"
        raise ValueError(message) from None
