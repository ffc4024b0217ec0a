"""The splitter: the same pieces whatever the chunks, nothing lost, nothing longer than 10,000 bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heroku_magic.emulator.logs import splitter
from heroku_magic.emulator.logs.splitter import Splitter, cut


@pytest.fixture(autouse=True, scope="module")
def short_pieces():
    """Pieces of 10 bytes, so that examples are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitter, "PIECE", 10)
        yield


def split(chunks):
    instance = Splitter()
    groups = [group for number, chunk in enumerate(chunks) for group in instance.feed(chunk, b"%d" % number)]
    return groups + instance.flush(b"end")


def pieces(groups):
    return [line for _, lines in groups for line in lines]


chunked = st.lists(st.text("ab\nä", max_size=30).map(str.encode), max_size=12)


@given(chunked)
def test_pieces_do_not_depend_on_the_chunks(chunks):
    assert pieces(split(chunks)) == pieces(split([b"".join(chunks)]))


@given(chunked)
def test_nothing_is_lost_and_nothing_is_added(chunks):
    data = b"".join(chunks)
    found = pieces(split(chunks))
    assert all(len(piece) <= 10 for piece in found)
    # A full piece has its newline, if any, in the next one.
    joined = b"".join(piece if len(piece) == 10 else piece + b"\n" for piece in found)
    assert joined in {data, data + b"\n"}


@given(st.lists(st.binary(min_size=1, max_size=4).filter(lambda chunk: b"\n" not in chunk), min_size=4, max_size=20))
def test_all_pieces_of_a_line_have_one_timestamp(chunks):
    groups = split([*chunks, b"\n"])
    if len(pieces(groups)) > 1:
        assert len({when for when, _ in groups}) == 1


@pytest.mark.parametrize(
    ("line", "found"),
    [(b"", [b""]), (b"x" * 9, [b"x" * 9]), (b"x" * 10, [b"x" * 10, b""]), (b"x" * 11, [b"x" * 10, b"x"])],
)
def test_the_newline_counts_towards_the_length(line, found):
    assert cut(line) == found
