"""The URLs of blobs, each a secret for putting or fetching one archive without a token, as at S3."""

from __future__ import annotations

from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from heroku_magic.emulator import errors
from heroku_magic.emulator.code.blobs import LARGEST, Upload
from heroku_magic.emulator.web.api import LocalHandler

CHUNK = 1_000_000
# Seconds that the upload of an archive may take.
PATIENCE = 3600


@stream_request_body
class BlobHandler(LocalHandler):
    """One archive."""

    _upload: Upload | None = None

    def prepare(self) -> None:
        """Find the blob before reading any of its bytes."""
        super().prepare()
        if self.request.method == "PUT":
            connection: Any = self.request.connection
            connection.set_max_body_size(LARGEST)
            connection.set_body_timeout(PATIENCE)
            blob = self.platform.blobs.writable(self.path_args[0])
            if blob is None:
                raise errors.forbidden("This URL does not accept an archive.")
            self.trust()
            self._upload = Upload(blob)

    def data_received(self, chunk: bytes) -> None:
        """Store the next bytes."""
        if self.platform.faults.takes("cut-upload", self.path_args[0]):
            connection: Any = self.request.connection
            connection.stream.close()
        elif self._upload is not None:
            self._upload.write(chunk)

    def put(self, _token: str) -> None:
        """Replace the archive in one step."""
        if self._upload is not None:
            self._upload.finish()
            self._upload = None
        self.respond({})

    async def get(self, token: str) -> None:
        """Send the archive."""
        blob = self.platform.blobs.readable(token)
        if blob is None:
            raise errors.forbidden("This URL has no archive.")
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
        """Discard an upload that broke off."""
        self.on_finish()

    def on_finish(self) -> None:
        """Discard an upload that was refused."""
        if self._upload is not None:
            self._upload.abandon()
            self._upload = None
