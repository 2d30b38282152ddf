"""A server of our connections on loopback, with endpoints that do what a test asks of them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from quantized.core.errors import BodyTooLarge, InvalidValue, MalformedBody
from quantized.http.connection import Bounds, ClientConnection
from quantized.http.direct import DirectExchange, Watch
from quantized.http.refusals import Refusal

BODY_BYTES = 1_000_000

Message = MutableMapping[str, Any]


class State:
    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.default_headers: list[tuple[bytes, bytes]] = []


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection. Answers are read as the framing says and no further."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self, *, bodyless: bool = False) -> Answer:
        async with asyncio.timeout(50):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            status = int(lines[0].split(" ")[1])
            assert lines[0].startswith("HTTP/1.1 ")
            if bodyless or status == 100:
                body = b""
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self.reader.readline(), 16):
                    body += await self.reader.readexactly(size)
                    assert await self.reader.readexactly(2) == b"\r\n"
                assert await self.reader.readexactly(2) == b"\r\n"
            else:
                body = await self.reader.read()
            return Answer(status, headers, body)

    async def rest_of_answer(self) -> bytes:
        """The chunk that is the last with something in it."""
        async with asyncio.timeout(50):
            end = await self.reader.readuntil(b"0\r\n\r\n")
        return end.rsplit(b"\r\n", 4)[1]

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(50):
            return await self.reader.read()

    async def leave(self) -> None:
        self.writer.transport.abort()


class Served:
    """POST /echo answers with the body, /slow with it once `go` is set, /deaf without reading it, /events
    with what `script` does. Everything else is ASGI: it tells what it was asked."""

    def __init__(self, bounds: Bounds | None = None, watch: Watch | None = None) -> None:
        self.direct = {
            "/echo": self._echo,
            "/slow": self._slow,
            "/deaf": self._deaf,
            "/events": self._events,
        }
        self.state = State()
        self.bounds = bounds or Bounds()
        self.watch = watch or Watch(keep_alive=60, stall=60, body=10)
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled: list[str] = []
        self.told: list[Message] = []
        self.refusals: list[str] = []
        self.refused: Callable[[Refusal], list[tuple[bytes, bytes]]] = self._refused
        self.script: Callable[[DirectExchange], Awaitable[None]] | None = None
        self._resources = AsyncExitStack()
        self.port = 0

    async def __aenter__(self) -> "Served":
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: ClientConnection(self, self.state, self.bounds), "127.0.0.1", 0
        )
        self.port = server.sockets[0].getsockname()[1]
        self._resources.callback(server.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()
        for task in tuple(self.state.tasks):
            task.cancel()
        await eventually(lambda: not self.state.tasks and not self.state.connections)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._resources.push_async_callback(client.leave)
        return client

    async def _echo(self, exchange: DirectExchange) -> None:
        self.begun.set()
        try:
            body = await exchange.read_body(BODY_BYTES, self.watch.body)
        except (BodyTooLarge, InvalidValue, MalformedBody) as fault:
            exchange.respond(413 if isinstance(fault, BodyTooLarge) else 400, str(fault.code).encode())
        except asyncio.CancelledError as stop:
            self.cancelled.append(stop.args[0] if stop.args else "")
            raise
        else:
            exchange.respond(200, body)

    async def _slow(self, exchange: DirectExchange) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError as stop:
            self.cancelled.append(stop.args[0])
            raise
        await self._echo(exchange)

    async def _deaf(self, exchange: DirectExchange) -> None:
        exchange.respond(401, b"no")

    async def _events(self, exchange: DirectExchange) -> None:
        assert self.script is not None
        exchange.begin_events([], self.watch)
        self.begun.set()
        try:
            await self.script(exchange)
        except asyncio.CancelledError as stop:
            self.cancelled.append(stop.args[0])
            raise
        exchange.end(b"last")

    def _refused(self, refusal: Refusal) -> list[tuple[bytes, bytes]]:
        self.refusals.append(refusal.code)
        return [(b"x-request-id", b"req-%d" % len(self.refusals))]

    async def asgi(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["path"] == "/waits":
            self.begun.set()
            while True:
                self.told.append(await receive())
                if self.told[-1]["type"] == "http.disconnect":
                    return
        if scope["path"] == "/breaks":
            raise LookupError("a fault of ours")
        body, more = b"", True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            body += message["body"]
            more = message["more_body"]
        told = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "body": body.decode(),
        }
        text = json.dumps(told).encode()
        length = [] if scope["path"] == "/pieces" else [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Kind", b"asgi"), *length]})
        for piece in re.findall(rb".{1,20}", text) if not length else [text]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


def request(path: str, body: bytes = b"", *headers: str, method: str = "POST", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "host: here", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(50):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
