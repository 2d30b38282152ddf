"""What the edge writes and reads: headers, ASGI messages, a whole response."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")

INTERNAL_ERROR = msgspec.json.encode(
    {"error": {"message": "Internal server error", "type": "server_error", "code": None, "param": None}}
)

UNAVAILABLE = msgspec.json.encode(
    {
        "error": {
            "message": "Service temporarily unavailable",
            "type": "server_error",
            "code": None,
            "param": None,
        }
    }
)

JOURNAL = "quantized.journal"
"""Where in the scope of a request that goes through the web framework its journal is."""


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
