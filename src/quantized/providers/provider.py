"""What a provider is to the gateway: a pure translator between the house's language and its own.

Everything here is synchronous, deterministic and without I/O. Only the gateway's pump awaits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from quantized.core.errors import Fault
from quantized.core.events import Event
from quantized.core.request import GenerationRequest


class Target(Struct, frozen=True):
    """What the gateway decided about a request before it is encoded.

    `model` is the provider's own id. `output_cap` is the cap to send, in tokens: the caller's own, a lowered
    one, or None where the caller set none and the provider need not be told. `features` are the model's
    (`tool_calls`, `reasoning`, …), empty where unknown.
    """

    model: str
    output_cap: int | None
    features: frozenset[str] = frozenset()


class UpstreamCall(Struct, frozen=True):
    """One HTTP request, whole. `url` is absolute; header names are lower-case. `once`: further headers, which
    no other request has (a signature)."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"
    once: tuple[tuple[str, str], ...] = ()


class Capabilities(Struct, frozen=True):
    """`language` names the wire language, so that a surface of the same language may relay its frames.
    `cap_required`: the provider demands an output cap on every request. `searches_per_request`: the most web
    searches that one request can lead to; a hold is priced with as many. `searches_certain`: as many of them
    as happen whatever the model does; they are charged where usage is never told. `searches_read_again`:
    after each of them the model reads everything anew, and all that it reads is counted. `fetches_images`: an
    image may be given by its URL; where not, its bytes must be."""

    language: str
    cap_required: bool = False
    searches_per_request: int = 1
    searches_certain: int = 0
    searches_read_again: bool = False
    fetches_images: bool = True


Relay = Callable[[bytes], tuple[bytes, int] | None]
"""A fast lane for what a client of the same language may read as it came: (frames to send on, bytes of text
in them) where the data is nothing but whole frames of the usual form, and None where it has to be fed. Means
the same as feeding it."""


def no_relay(data: bytes) -> None:
    """Everything has to be fed."""


class Decoder(Protocol):
    """A stream machine: bytes in any pieces to events, and the frames the events came from.

    The events obey the grammar of `core.events`: exactly one terminal event, last; nothing after it.
    """

    def feed(self, data: bytes) -> Iterable[tuple[bytes | None, tuple[Event, ...]]]:
        """Each complete frame in `data`, as (payload, events). The payload is the frame's own JSON text, fit
        to be sent on as one `data:` line, or None where it is not (comments, end marks, several lines)."""

    @property
    def relay(self) -> Relay:
        """The fast lane, as it is until the next `feed`. `no_relay` where there is none."""

    def close(self) -> tuple[Event, ...]:
        """The upstream's bytes are over. A stream that has not ended properly ends here, as Failed."""


class Provider(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def encode(self, request: GenerationRequest, target: Target) -> UpstreamCall:
        """Raises UnsupportedParameter, naming the field, for what this provider cannot honour."""

    def authorize(self, call: UpstreamCall, now: datetime) -> UpstreamCall:
        """The call with this provider's credential on it."""

    def decoder(self, request: GenerationRequest) -> Decoder: ...

    def decode_body(self, request: GenerationRequest, body: bytes) -> Sequence[Event]:
        """One JSON body. An answer that is not one is a Failed event, never an exception."""

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        """An HTTP status other than 200. Header names are lower-case."""
