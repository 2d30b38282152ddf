"""Frames of the Messages language, and what a decoder makes of them."""

import json
from typing import Any

from taped import BODIES, MESSAGES, REQUEST

from quantized.core.events import Event, Failed
from quantized.core.fold import Answer, fold
from quantized.providers.anthropic.decode import StreamDecoder


def start(**usage: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    return {
        "type": "message_start",
        "message": {**head, "usage": usage or {"input_tokens": 7, "output_tokens": 1}},
    }


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, kind: str, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 5}},
        {"type": "message_stop"},
    ]


def told(*frames: dict[str, Any]) -> list[Event]:
    decoder = StreamDecoder("anthropic", "m")
    stream = "".join(f"event: {frame['type']}\ndata: {json.dumps(frame)}\n\n" for frame in frames)
    return [*[event for _, events in decoder.feed(stream.encode()) for event in events], *decoder.close()]


def answer(*frames: dict[str, Any]) -> Answer:
    return fold(told(start(), *frames, *end()))


def taped(name: str) -> Answer:
    return fold(MESSAGES.decode_body(REQUEST, BODIES[name]))


def failure(events: list[Event]) -> Failed:
    assert isinstance(events[-1], Failed)
    return events[-1]


TEXT = begin(0, type="text", text="")
HELLO = [TEXT, piece(0, "text_delta", text="Hello"), stop(0)]
