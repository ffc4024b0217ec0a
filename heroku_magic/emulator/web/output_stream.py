"""The output of builds and release commands, as text or events, from any offset; the URL is the secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

from heroku_magic.emulator import errors
from heroku_magic.emulator.web.api import LocalHandler

if TYPE_CHECKING:
    from heroku_magic.emulator.code.build_output import BuildOutput

_RANGE = re.compile(r"bytes=([0-9]{1,18})-")


class OutputStreamHandler(LocalHandler):
    """One output."""

    async def get(self, token: str) -> None:
        """Send the output to its end, starting where `Range` or `Last-Event-ID` says."""
        output = self.platform.outputs.get(token)
        if output is None:
            raise errors.unknown_url()
        self.trust()
        try:
            if "text/event-stream" in self.request.headers.get("Accept", ""):
                await self._send_events(output)
            else:
                await self._send_text(output)
        except StreamClosedError:
            return

    async def _send_text(self, output: BuildOutput) -> None:
        match = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        offset = int(match[1]) if match else 0
        if match:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {offset}-*/*")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        await self.flush()
        while (text := await output.after(offset, self.platform.timings.heartbeat)) is not None:
            offset = max(offset, output.end)  # a start that is no longer kept is left out
            is_cut = len(text) > 1 and self.platform.faults.takes("cut-output", output.token)
            self.write((text[: len(text) // 2] if is_cut else text) or b"\0")
            await self.flush()
            if is_cut:
                self.detach().close()
                return

    async def _send_events(self, output: BuildOutput) -> None:
        offset = self.last_event_id or 0
        if output.is_over and offset >= output.end:
            self.set_status(204)  # tells an EventSource not to reconnect
            return
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        while (text := await output.after(offset, self.platform.timings.heartbeat)) is not None:
            offset = max(offset, output.end) - len(text)  # a start that is no longer kept is left out
            for line in text.splitlines(keepends=True):
                offset += len(line)
                self.write(b"id: %d\ndata: %b\n\n" % (offset, line.rstrip(b"\r\n")))
            if not text:
                self.write(b":keepalive\n\n")
            await self.flush()
