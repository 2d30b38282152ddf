"""An answer of the imitated Bedrock as its stream of frames, word by word."""

import json
import re
from collections.abc import Iterator
from typing import Any

from eventstream_encoder import event, frame

Json = dict[str, Any]


def told(kind: str, **payload: Any) -> bytes:
    """With the padding that hides how long a word is."""
    return event(kind, json.dumps({**payload, "p": "abcdefgh"}).encode())


def exception(kind: str, message: str) -> bytes:
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps({"message": message}).encode())


def frames(content: list[Json], reason: str, usage: Json) -> Iterator[bytes]:
    """Texts and thoughts begin without saying so; in between is an event that nobody knows yet."""
    yield told("messageStart", role="assistant")
    for index, block in enumerate(content):
        if "toolUse" in block:
            start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            yield told("contentBlockStart", start={"toolUse": start}, contentBlockIndex=index)
        for delta in _deltas(block):
            yield told("contentBlockDelta", contentBlockIndex=index, delta=delta)
        yield told("contentBlockStop", contentBlockIndex=index)
    yield told("eventOfTheFuture", contentBlockIndex=99, delta={"text": "nobody reads this"})
    yield told("messageStop", stopReason=reason)
    yield told("metadata", usage=usage, metrics={"latencyMs": 7})


def _deltas(block: Json) -> Iterator[Json]:
    match block:
        case {"text": text}:
            for word in _words(text):
                yield {"text": word}
        case {"toolUse": {"input": arguments}}:
            # No arguments are no bytes.
            written = json.dumps(arguments) if arguments else ""
            for piece in ["", *re.findall(r".{1,6}", written)]:
                yield {"toolUse": {"input": piece}}
        case {"reasoningContent": {"redactedContent": data}}:
            yield {"reasoningContent": {"redactedContent": data}}
        case {"reasoningContent": {"reasoningText": {"text": text, **rest}}}:
            for word in _words(text):
                yield {"reasoningContent": {"text": word}}
            if "signature" in rest:
                yield {"reasoningContent": {"signature": rest["signature"]}}


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*$|\s*\S+", text)
