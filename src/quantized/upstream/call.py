"""What the outgoing client promises, whoever implements it."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from msgspec import Struct

from quantized.providers.provider import UpstreamCall

Phase = Literal["connect", "send", "first_byte", "body"]


class UpstreamFailure(Exception):
    """The upstream did not answer as HTTP demands. `phase` says how far it got; `aborted`: we ended it."""

    def __init__(self, phase: Phase, cause: str, *, timeout: bool = False, aborted: bool = False) -> None:
        super().__init__(f"{phase}: {cause}")
        self.phase = phase
        self.cause = cause
        self.timeout = timeout
        self.aborted = aborted


class Patience(Struct, frozen=True):
    """Seconds to wait: for a connection, for the response's head, between two pieces of body, for all."""

    connect: float
    first_byte: float
    idle: float
    total: float


class UpstreamResponse(Protocol):
    """A response whose head has arrived. To be read to its end, let go or aborted; each may be said twice."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; the values of a repeated name are joined by `, `."""

    def arrived(self) -> bytes:
        """What `next` would return without waiting; b"" where nothing has arrived, or the end."""

    async def next(self) -> bytes:
        """The body bytes that have arrived since the last call, at least one; b"" at the proper end.

        While nobody calls, reading from the socket stops after a bounded number of bytes. Raises
        UpstreamFailure.
        """

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hands what `next` would return to `take`, piece by piece and the moment it arrives, until `take`
        returns False; then returns False, and True at the proper end. Raises UpstreamFailure, and whatever
        `take` raises.
        """

    async def read(self, limit: int) -> bytes:
        """The rest of the body. Raises UpstreamFailure when it exceeds `limit` bytes."""

    def let_go(self, seconds: float) -> None:
        """Nobody reads any more: what still comes is dropped, so that the connection can be used again. It is
        closed where that takes more than so many seconds."""

    def abort(self) -> None:
        """Closes the connection at once. A pending or later `next` raises UpstreamFailure(aborted=True)."""


Sent = Callable[[bool], None]
"""Is told True once all of a request has been handed over to the network, and False when it turns out that
the server took none of it and it will be sent anew."""


def unheard(_: bool) -> None:
    """For whoever does not ask whether a request has been sent."""


class Upstream(Protocol):
    async def send(self, call: UpstreamCall, patience: Patience, sent: Sent) -> UpstreamResponse:
        """Sends the request and waits for the response's head (1xx skipped). Raises UpstreamFailure."""

    async def close(self) -> None: ...
