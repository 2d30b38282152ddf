"""Clients of the gateway: bodies, streams taken apart, and raw sockets that leave when they like."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx
from gateway_process import GatewayProcess, Licence

CHAT = "/v1/chat/completions"


def ask(model: str, licence: Licence, **more: Any) -> dict[str, Any]:
    """A request's body; its prompt holds the licence's marker."""
    name = model if "/" in model else f"hostile/{model}"
    content = f"What is the capital of France? {licence.marker}"
    return {"model": name, "messages": [{"role": "user", "content": content}]} | more


async def post(
    client: httpx.AsyncClient, licence: Licence, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    return await client.post(CHAT, json=body, headers=licence.headers | (headers or {}))


class Told(NamedTuple):
    """A stream as its reader took it: payloads of `data:` in order, comments, whether `[DONE]` came."""

    chunks: list[dict[str, Any]]
    comments: list[str]
    done: bool

    @property
    def text(self) -> str:
        pieces = (
            choice["delta"].get("content") for chunk in self.chunks for choice in chunk.get("choices", [])
        )
        return "".join(piece or "" for piece in pieces)

    @property
    def usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = self.chunks[-1]["usage"]
        return usage


def told(body: bytes) -> Told:
    assert body.endswith(b"\n\n"), body[-200:]
    chunks, comments, done = [], [], False
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        assert not done, "something after [DONE]"
        assert "\n" not in block, block
        if block.startswith(":"):
            comments.append(block)
        elif block == "data: [DONE]":
            done = True
        else:
            assert block.startswith("data: {"), block
            chunks.append(json.loads(block.removeprefix("data: ")))
    return Told(chunks, comments, done)


def request_bytes(licence: Licence, body: Any, path: str = CHAT, *headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {licence.key}",
        "content-type: application/json",
        f"content-length: {len(data)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + data


class RawClient:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, gateway: GatewayProcess, receive_buffer: int | None = None) -> "RawClient":
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", gateway.port))
        return cls(*await asyncio.open_connection(sock=sock))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """All that comes until the gateway closes."""
        return await self.reader.read()

    async def leave(self, *, reset: bool = False) -> None:
        """Closes, politely or with RST. Can be repeated."""
        if self.writer.transport.is_closing():
            return
        if reset:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Connect = Callable[..., Awaitable[RawClient]]
"""The fixture that makes them."""
