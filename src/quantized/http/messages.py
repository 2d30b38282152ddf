"""ASGI messages: reading a body within its bounds, writing a whole response."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from quantized.core.errors import BodyTooLarge, InvalidValue, MalformedBody

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")

INTERNAL_ERROR = msgspec.json.encode(
    {"error": {"message": "Internal server error", "type": "server_error", "code": None, "param": None}}
)

JOURNAL = "quantized.journal"
"""Where in the scope of a request that goes through the web framework its journal is."""


class ClientLeft(Exception):
    """The client closed its connection before it had its answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a request header, whose `name` is lower-case; the first one where it is repeated."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """The request's body. Raises BodyTooLarge above `limit` bytes, InvalidValue for a compressed body,
    MalformedBody for one that has not arrived after so many `seconds`, ClientLeft."""
    encoding = header(scope, b"content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise InvalidValue(
            f"Content-Encoding '{encoding[:32]}' is not supported: send the body as plain JSON",
            param="Content-Encoding",
        )
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(declared, limit)
    try:
        async with asyncio.timeout(seconds):
            return await _pieces(receive, limit)
    except TimeoutError as error:
        raise MalformedBody(
            f"The request body did not arrive within {seconds:g} seconds", code="body_too_slow"
        ) from error


async def _pieces(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(f"more than {limit}", limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(found: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request body is too large: {found} bytes, at most {limit} are accepted", code="body_too_large"
    )


async def respond(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """One whole JSON response."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [JSON, (b"content-length", b"%d" % len(body)), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
