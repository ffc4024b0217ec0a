"""Archives that are small and would fill the memory."""

from __future__ import annotations

import gzip
import tarfile

import pytest

from heroku_magic.emulator.code import tarball
from heroku_magic.emulator.errors import BuildError


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_member_whose_properties_are_huge_is_refused(tmp_path, kind):
    header = tarfile.TarInfo("name")
    header.type, header.size = kind, 2_048_000
    member = tarfile.TarInfo("file").tobuf()
    with gzip.open(tmp_path / "bomb.tgz", "wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT) + b"a" * header.size + member + bytes(1024))
    with pytest.raises(BuildError, match="the properties of a member have more than a megabyte"):
        tarball.unpack(tmp_path / "bomb.tgz", tmp_path / "app")
    assert not (tmp_path / "app").exists()
