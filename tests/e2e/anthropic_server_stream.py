"""A message of the imitated Messages API as its stream, word by word."""

import json
import re
from collections.abc import Iterator
from typing import Any

Block = dict[str, Any]


def frame(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def frames(message: Block, input_tokens: int) -> Iterator[bytes]:
    """Every frame, among them a ping and an event of a kind that nobody knows yet. `input_tokens`: what the
    first reading of the prompt came to, of which alone the beginning tells."""
    final = message["usage"]
    first = {
        name: value
        for name, value in final.items()
        if name not in ("server_tool_use", "output_tokens_details")
    }
    first |= {"input_tokens": input_tokens, "output_tokens": 1}
    empty = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": first}
    yield frame("message_start", message=message | empty)
    yield frame("ping")
    for index, block in enumerate(message["content"]):
        start, deltas = _taken_apart(block)
        yield frame("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield frame("content_block_delta", index=index, delta=delta)
        yield frame("content_block_stop", index=index)
    yield frame("event_of_the_future", index=99, delta={"type": "text_delta", "text": "nobody reads this"})
    # What was written to which cache only the beginning tells apart.
    told = {name: value for name, value in final.items() if name not in ("cache_creation", "service_tier")}
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield frame("message_delta", delta=delta, usage=told)
    yield frame("message_stop")


def _taken_apart(block: Block) -> tuple[Block, list[Block]]:
    match block["type"]:
        case "text":
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": word} for word in _words(block["text"])]
            if "citations" in block:
                start["citations"] = []
                deltas += [
                    {"type": "citations_delta", "citation": citation} for citation in block["citations"]
                ]
            return start, deltas
        case "thinking":
            said = [{"type": "thinking_delta", "thinking": word} for word in _words(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*said, signed]
        case "tool_use" | "server_tool_use":
            # No arguments are no bytes, and the first piece never has any.
            written = json.dumps(block["input"]) if block["input"] else ""
            pieces = ["", *re.findall(r".{1,6}", written)]
            return block | {"input": {}}, [
                {"type": "input_json_delta", "partial_json": piece} for piece in pieces
            ]
        case _:
            return block, []


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*$|\s*\S+", text)
