"""An exchange that an ASGI application answers: everything that is not hot."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import httptools

from quantized.http.exchange import Exchange, Line
from quantized.http.head import RequestHead
from quantized.http.messages import INTERNAL_ERROR, JSON, Message, Receive, Scope, Send

_log = logging.getLogger("quantized.http")

AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """(path, query) of a request's target, as they stand there. Raises HttpParserInvalidURLError."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path or b"/", url.query or b""


def decoded_path(path: bytes) -> str:
    text = path.decode("latin-1")
    return unquote(text) if "%" in text else text


class AsgiExchange(Exchange):
    __slots__ = ("_app", "_body_told", "_length", "_path", "_query", "_response")

    def __init__(self, line: Line, head: RequestHead, path: bytes, query: bytes, app: AsgiApp) -> None:
        super().__init__(line, head)
        self._app = app
        self._path = path
        self._query = query
        self._body_told = False
        self._response: bytes | None = None
        """The head of the response, until it is written with the beginning of the body."""
        self._length: int | None = None
        """Bytes of the body that were announced and have not been written."""

    def start(self) -> None:
        self.line.run(self._run())

    async def _run(self) -> None:
        try:
            await self._app(self._scope(), self._receive, self._send)
        except Exception:  # noqa: BLE001 - there is nobody behind us; it is answered below
            _log.exception("a request was not answered")
        finally:
            # Nobody is left to do it, whatever the reason.
            if not (self.begun or self.left):
                head = self._response_head(500, [JSON], len(INTERNAL_ERROR))
                self.line.transport.write(head + INTERNAL_ERROR)
                self._finish()
            self.cut()

    def _scope(self) -> Scope:
        head, transport = self.head, self.line.transport
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1" if head.modern else "1.0",
            "method": head.method.decode("ascii"),
            "scheme": "http",
            "root_path": "",
            "path": decoded_path(self._path),
            "raw_path": self._path,
            "query_string": self._query,
            "headers": head.headers,
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
        }

    async def _receive(self) -> Message:
        if not self._body_told:
            piece = await self._next_piece()
            if not self.left:
                self._body_told = self.whole and not self._pieces
                return {"type": "http.request", "body": piece, "more_body": not self._body_told}
        while not (self.left or self.complete):
            await self._wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.left:
            return
        if message["type"] == "http.response.start":
            self._begin(message)
            return
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self._length is not None:
            self._length -= len(body)
            if self._length < 0 or (self._length and not more and not self.bodyless):
                raise ValueError("the response's body is not as long as announced")
        head, self._response = self._response or b"", None
        self.line.transport.write(head if self.bodyless else head + self._framed(body, last=not more))
        if not more:
            self._finish()
        else:
            await self._drain()

    def _begin(self, message: Message) -> None:
        status: int = message["status"]
        fields = [(name.lower(), value) for name, value in message.get("headers", ())]
        lengths = [value for name, value in fields if name == b"content-length"]
        self._length = int(lengths[0]) if lengths else None
        self.bodyless = self.head.method == b"HEAD" or status in (204, 304)
        rest = [field for field in fields if field[0] != b"content-length"]
        self._response = self._response_head(status, rest, self._length)


def _address(name: tuple[Any, ...] | None) -> tuple[str, int] | None:
    """Of an IPv4 or IPv6 socket; None where it is gone already."""
    return (name[0], name[1]) if name else None
