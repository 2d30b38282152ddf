"""Models of a router that think, search and call: `listed/NAME`."""

import json
from typing import Any
from zlib import crc32

from hostile import Behaviour, Peer
from hostile_behaviours import (
    DONE,
    FINISH,
    FIRST,
    STREAM_HEAD,
    WORDS,
    answering,
    completion,
    frame,
    last,
    piece,
    response,
    stream,
    tell,
)

# As no encoder of ours would write them: the order, the spaces, the escapes and the numbers are the maker's.
SIGNED = (
    b'{ "type":"reasoning.text","text":"Let me look \\u2014 \\"there\\".",'
    b'"signature":"c2ln\\/bmVk+1==","format":"anthropic-claude-v1","index":0}'
)
EMPTY = (
    b'{"signature" : "ZW1wdHk=", "text":"" ,"type":"reasoning.text","index":1,"format":"anthropic-claude-v1"}'
)
ENCRYPTED = (
    b'{"type":"reasoning.encrypted","data":"gAAAA\\u0042_-\\/==","id":"rs_\\u00e9","index":2,"weight":1.50e2}'
)
REDACTED = b'{"type":"reasoning.encrypted", "data":"redacted\\t", "format":null, "index":3}'
DETAILS = [SIGNED, EMPTY, ENCRYPTED, REDACTED]

THOUGHT = 'Let me look — "there".'
_RAW = "RAW-DETAILS"
_USAGE = {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50} | {
    "completion_tokens_details": {"reasoning_tokens": 12}
}


def _with_details(data: bytes, details: list[bytes]) -> bytes:
    return data.replace(json.dumps(_RAW).encode(), b"[" + b",".join(details) + b"]")


def _call(peer: Peer) -> dict[str, Any]:
    """Its id differs from conversation to conversation, as those of real models do."""
    asked = json.dumps(peer.seen.body["messages"][0]).encode()
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    return {"id": f"call_{crc32(asked):x}", "type": "function", "function": function}


async def _thinks(peer: Peer) -> None:
    """Thinks in the open and in secret and calls the tool; answers once its result is there."""
    if peer.seen.body["messages"][-1]["role"] == "tool":
        await answering(_USAGE)(peer)
        return
    call = _call(peer)
    if not peer.seen.streams:
        thoughts = {"reasoning": THOUGHT, "reasoning_details": _RAW}
        answer = completion({"role": "assistant", "content": "One moment.", "tool_calls": [call], **thoughts})
        answer["choices"][0]["finish_reason"] = "tool_calls"
        answer["usage"] = _USAGE
        await peer.write(response(_with_details(json.dumps(answer).encode(), DETAILS)))
        return
    name = {"name": "get_weather", "arguments": ""}
    frames = [
        FIRST,
        _with_details(frame({"reasoning": THOUGHT, "reasoning_details": _RAW}), [SIGNED]),
        *(_with_details(frame({"reasoning_details": _RAW}), [detail]) for detail in DETAILS[1:]),
        frame({"content": "One "}),
        frame({"content": "moment."}),
        frame({"tool_calls": [{"index": 0, "id": call["id"], "type": "function", "function": name}]}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": '{"city"'}}]}),
        frame({"tool_calls": [{"index": 0, "function": {"arguments": ': "Paris"}'}}]}),
        frame(reason="tool_calls"),
        last(_USAGE),
        DONE,
    ]
    await stream(peer, frames)


async def _breaks_calling(peer: Peer) -> None:
    """Breaks off in the middle of a call's arguments."""
    await peer.write(STREAM_HEAD)
    name = {"name": "get_weather", "arguments": '{"city'}
    call = {"tool_calls": [{"index": 0, "id": _call(peer)["id"], "type": "function", "function": name}]}
    for one in (FIRST, frame({"content": "One moment."}), frame(call)):
        await peer.write(piece(one))
    peer.close()


CITED = [
    {
        "type": "url_citation",
        "url_citation": {
            "url": f"https://example.com/{n}",
            "title": f"Page {n}",
            "start_index": n,
            "end_index": 9,
        },
    }
    for n in (1, 2)
]


async def _searches(peer: Peer) -> None:
    """Cites what it found, where it was told to search."""
    cited = CITED if peer.seen.body.get("plugins") else []
    if not peer.seen.streams:
        answer = completion({"role": "assistant", "content": "".join(WORDS), "annotations": cited})
        await tell(peer, answer)
        return
    said = [frame({"content": word}) for word in WORDS]
    notes = [frame({"content": "", "annotations": [note]}) for note in cited]
    await stream(peer, [FIRST, *said, *notes, FINISH, last(), DONE])


async def _is_cut(peer: Peer) -> None:
    """Says as many words as it may, and less than it would."""
    words = WORDS[: peer.seen.body["max_tokens"]]
    usage = {"prompt_tokens": 25, "completion_tokens": len(words), "total_tokens": 25 + len(words)}
    if peer.seen.streams:
        said = [frame({"content": word}) for word in words]
        await stream(peer, [FIRST, *said, frame(reason="length"), last(usage), DONE])
        return
    answer = completion({"role": "assistant", "content": "".join(words)}, usage)
    answer["choices"][0]["finish_reason"] = "length"
    await tell(peer, answer)


THINKING: dict[str, Behaviour] = {
    "thinks": _thinks,
    "breaks-calling": _breaks_calling,
    "searches": _searches,
    "cut": _is_cut,
}
