"""Answers of Converse, streamed and whole, and what is told of them."""

import json
from typing import Any

from converse_tapes import START, USAGE, framed, message_stop, metadata

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import Event, Failed
from quantized.providers.bedrock.decode import StreamDecoder, decode_body


def told(*pieces: bytes) -> list[Event]:
    decoder = StreamDecoder("bedrock", "m", "anthropic")
    events = [event for piece in pieces for _, told in decoder.feed(piece) for event in told]
    return [*events, *decoder.close()]


def streamed(*events: tuple[str, dict[str, Any]], reason: str = "end_turn") -> list[Event]:
    return told(framed([START, *events, message_stop(reason), metadata()]))


def whole(*content: dict[str, Any], reason: str = "end_turn", **more: Any) -> list[Event]:
    message = {"role": "assistant", "content": list(content)}
    body = {"output": {"message": message}, "stopReason": reason, "usage": USAGE, **more}
    return list(decode_body("bedrock", "m", "anthropic", json.dumps(body).encode()))


def failure(events: list[Event]) -> Failed:
    assert isinstance(events[-1], Failed)
    return events[-1]


def unavailable(events: list[Event]) -> ProviderUnavailable:
    """What nobody but the provider can help, told in no words of its own."""
    fault = failure(events).fault
    assert isinstance(fault, ProviderUnavailable)
    assert fault.message == "Service temporarily unavailable"
    return fault
