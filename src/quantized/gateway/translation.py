"""The stream machine between two languages: a provider's bytes in, a client's frames out.

Where both speak the same language, a frame that holds nothing but the start of things and their deltas
leaves as it came (the relay); every other frame, and every frame of another language, is rendered. Both
roads ask the same decoder, so they count the same and end the same. Frames of a form that the decoder knows
do not even become events: it says that they may leave, and how much text is in them.
"""

from collections.abc import Iterable
from typing import TypeVar, get_args

from msgspec import Struct
from msgspec.structs import replace

from quantized.core.errors import Fault
from quantized.core.events import Delta, Event, Failed, Finished, Started, Terminal
from quantized.core.fold import Answer
from quantized.gateway.metering import Meter
from quantized.providers.provider import Decoder
from quantized.surfaces.surface import Renderer

Named = TypeVar("Named", Started, Answer)

_DELTAS = frozenset(get_args(Delta))


class Identity(Struct, frozen=True):
    """What an answer is called and dated (Unix seconds) whose provider does neither."""

    id: str
    created: int

    def named(self, told: Named) -> Named:
        if told.id and told.created:
            return told
        return replace(told, id=told.id or self.id, created=told.created or self.created)


class Translation:
    """Pure: no I/O, no clock. After `terminal` is set nothing more comes out of it."""

    __slots__ = ("_decoder", "_identity", "_relays", "_renderer", "meter", "started", "terminal")

    def __init__(self, decoder: Decoder, renderer: Renderer, identity: Identity, *, relays: bool) -> None:
        self._decoder = decoder
        self._renderer = renderer
        self._identity = identity
        self._relays = relays
        self.meter = Meter()
        self.started: Started | None = None
        self.terminal: Terminal | None = None

    @property
    def begun(self) -> bool:
        """Something has been understood: a part of an answer, or its end."""
        return self.started is not None or self.terminal is not None

    def feed(self, data: bytes) -> bytes:
        relayed = self._decoder.relay(data) if self._relays else None
        if relayed is None:
            return self._fed(data)
        frames, size = relayed
        self.meter.size += size
        return frames

    def _fed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        for payload, events in self._decoder.feed(data):
            if self._relays and payload is not None:
                for event in events:
                    self._relayed(event)
                if events:
                    out.append(self._renderer.relay(payload))
            else:
                out.extend(self._rendered(events))
            if self.terminal is not None:
                break
        return out[0] if len(out) == 1 else b"".join(out)

    def close(self) -> bytes:
        """The provider's bytes are over."""
        if self.terminal is not None:
            return b""
        return b"".join(self._rendered(self._decoder.close()))

    def break_off(self, fault: Fault) -> bytes:
        """The provider's bytes are over because of `fault`, which says more than that they are over."""
        rest = self.close()
        if isinstance(self.terminal, Failed):
            self.terminal = replace(self.terminal, fault=fault)
        return rest

    def _relayed(self, event: Event) -> None:
        if type(event) in _DELTAS:
            self.meter.note(event)
            return
        if type(event) is Started:
            self.started = event
        else:
            self.meter.note(event)
        self._renderer.seen(event)

    def _rendered(self, events: Iterable[Event]) -> Iterable[bytes]:
        for event in events:
            match event:
                case Finished() | Failed():
                    self.terminal = event
                    return
                case Started():
                    self.started = self._identity.named(event)
                    yield self._renderer.feed(self.started)
                case _:
                    self.meter.note(event)
                    yield self._renderer.feed(event)
