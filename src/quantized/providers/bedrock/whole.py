"""A whole answer in place of a stream, for models that call no tools while they stream."""

from quantized.core.events import Event
from quantized.providers.answers import broken, failed
from quantized.providers.bedrock.decode import decode_body
from quantized.providers.provider import no_relay


class WholeDecoder:
    """One JSON body in pieces, whose events come together at its end. One of more than `most` bytes is a
    failure. `family`: whose the model is, as `families.family_of` names it."""

    relay = staticmethod(no_relay)

    def __init__(self, name: str, model: str, family: str, most: int) -> None:
        self._name = name
        self._model = model
        self._family = family
        self._most = most
        self._body = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> list[tuple[bytes | None, tuple[Event, ...]]]:
        if self._ended:
            return []
        if len(self._body) + len(data) <= self._most:
            self._body += data
            return []
        self._ended = True
        self._body.clear()
        fault = broken(self._name, f"it is longer than {self._most} bytes")
        return [(None, (failed(fault, None, worked=True),))]

    def close(self) -> tuple[Event, ...]:
        if self._ended:
            return ()
        self._ended = True
        return tuple(decode_body(self._name, self._model, self._family, bytes(self._body)))
