"""uvicorn's HTTP protocol, with bounds on the head of a request, which it has none for."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 30.0

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"connection: close\r\n\r\n"
    b'{"error":{"message":"The head of the request is too large: at most 65536 bytes are accepted",'
    b'"type":"invalid_request_error","code":"head_too_large","param":null}}'
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """A head that is not whole after so many bytes is refused, one that is not whole after so many seconds
    is not waited for. Neither needs a credential, so both would be open to everybody."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head: int | None = 0
        """Bytes of the head that is arriving; None while none is."""
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._alarm = self.loop.call_later(_HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._grow(len(data))

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        self._disarm()
        super().on_headers_complete()

    def _grow(self, size: int) -> None:
        self._head = (self._head or 0) + size
        if self._head > _HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        elif self._alarm is None:
            self._alarm = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
