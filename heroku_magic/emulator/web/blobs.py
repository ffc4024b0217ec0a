"""The URLs of blobs, each a secret that lets one put or get one archive; no token is asked for, as at S3."""

from __future__ import annotations

from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from heroku_magic.emulator import errors
from heroku_magic.emulator.code.blobs import LARGEST, Upload
from heroku_magic.emulator.web.api import LocalHandler

CHUNK = 1_000_000
# Seconds that an archive may take to arrive.
PATIENCE = 3600


@stream_request_body
class Blob(LocalHandler):
    """One archive, on its way in or out."""

    _upload: Upload | None = None

    def prepare(self) -> None:
        """Find the blob before a byte of it is taken."""
        super().prepare()
        if self.request.method == "PUT":
            connection: Any = self.request.connection
            connection.set_max_body_size(LARGEST)
            connection.set_body_timeout(PATIENCE)
            blob = self.emulator.account.blobs.writable(self.path_args[0])
            if blob is None:
                raise errors.ApiError(403, "forbidden", "This URL takes no archive.")
            self._upload = Upload(blob)

    def data_received(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self.emulator.faults.takes("cut-upload", self.path_args[0]):
            self.detach().close()
        elif self._upload is not None:
            self._upload.write(chunk)

    def put(self, _token: str) -> None:
        """Take the archive's place in one step."""
        if self._upload is not None:
            self._upload.finish()
            self._upload = None
        self.answer({})

    async def get(self, token: str) -> None:
        """Send the archive."""
        blob = self.emulator.account.blobs.readable(token)
        if blob is None:
            raise errors.ApiError(403, "forbidden", "This URL gives no archive.")
        self.set_header("Content-Type", "application/gzip")
        self.set_header("Content-Length", str(blob.path.stat().st_size))
        try:
            with blob.path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self.write(chunk)
                    await self.flush()
        except StreamClosedError:
            return

    def on_connection_close(self) -> None:
        """Forget an upload that broke off."""
        self._abandon()

    def on_finish(self) -> None:
        """Forget an upload that was refused."""
        self._abandon()

    def _abandon(self) -> None:
        if self._upload is not None:
            self._upload.abandon()
            self._upload = None
