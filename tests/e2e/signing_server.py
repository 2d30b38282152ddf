"""An upstream that signs what it thinks, beside its calls and its texts, and takes no call back unsigned.

It remembers nothing: a signature is of the text or the call that it stands beside. Of one step's calls the
first is signed, and only the calls since the user last spoke are looked at; what is signed wrongly is refused
wherever it stands. Messages hold nothing that the language's messages do not hold.
"""

import json
from base64 import b64encode
from hashlib import blake2b
from typing import Any

from hostile import Hostile, Peer
from hostile_behaviours import DONE, completion, response, stream

MODEL = "signing/model"
SAID = ["Paris and Rome ", "are warm, Oslo is not."]
_USAGE = {"prompt_tokens": 84, "completion_tokens": 18, "total_tokens": 153}
_MESSAGE = {"role", "content", "name", "tool_calls", "tool_call_id", "extra_content"}
_CALL = {"id", "type", "function", "extra_content"}
_EXTRA = "EXTRA-CONTENT"
Json = dict[str, Any]

STAND_IN = '{ google = { thought_signature = "nobody_signed_this" } }'
"""What is taken in place of a signature, as the settings have it."""
_STAND_IN = {"google": {"thought_signature": "nobody_signed_this"}}


def signature(of: str) -> bytes:
    """The object that stands beside a call with this id, or a message with this text, as the server writes it
    and no encoder of ours would."""
    signed = b64encode(blake2b(of.encode(), digest_size=60).digest()).replace(b"/", rb"\/")
    return b'{ "google":{"thought_signature":"' + signed + b'", "weight" : 1.50e2}}'


class SigningServer(Hostile):
    def __init__(self) -> None:
        super().__init__({MODEL: _answer}, {})


def _call(asked: str, city: str) -> Json:
    """Its id differs from conversation to conversation."""
    call_id = blake2b(f"{asked}/{city}".encode(), digest_size=6).hexdigest()
    arguments = json.dumps({"city": city}, separators=(",", ":"))
    return {"function": {"arguments": arguments, "name": "get_weather"}, "id": call_id, "type": "function"}


async def _answer(peer: Peer) -> None:
    messages = peer.seen.body["messages"]
    if fault := _fault(messages):
        error = [{"error": {"code": 400, "message": fault, "status": "INVALID_ARGUMENT"}}]
        await peer.write(response(json.dumps(error).encode(), 400))
        return
    asked = max(at for at, message in enumerate(messages) if message["role"] == "user")
    step = sum(message["role"] == "assistant" for message in messages[asked:])
    seed = json.dumps(messages[: asked + 1])
    if step < 2:
        first, *others = [_call(seed, city) for city in (("Paris", "Rome"), ("Oslo",))[step]]
        deltas = [{"tool_calls": [one]} for one in ({"extra_content": _EXTRA} | first, *others)]
        await _tell(peer, deltas, "tool_calls", first["id"])
    else:
        deltas = [*({"content": word} for word in SAID), {"extra_content": _EXTRA}]
        await _tell(peer, deltas, "stop", "".join(SAID))


async def _tell(peer: Peer, deltas: list[Json], reason: str, signed: str) -> None:
    if peer.seen.streams:
        *before, last = deltas
        frames = [_frame(delta) for delta in before]
        frames.append(_frame(last, finish_reason=reason, usage=_USAGE))
        await stream(peer, [_signed(frame, signed) for frame in frames] + [DONE])
        return
    message: Json = {"role": "assistant"}
    for delta in deltas:
        for name, value in delta.items():
            message[name] = value if name not in message else message[name] + value
    answer = completion(message, _USAGE)
    answer["choices"][0]["finish_reason"] = reason
    await peer.write(response(_signed(json.dumps(answer).encode(), signed)))


def _frame(delta: Json, usage: Any = None, **more: Any) -> bytes:
    """The calls in it have no index."""
    chunk = {
        "choices": [{"delta": {**delta, "role": "assistant"}, "index": 0, **more}],
        "created": 1_764_000_000,
        "id": "gen-1",
        "model": MODEL,
        "object": "chat.completion.chunk",
    }
    return b"data: " + json.dumps(chunk | ({"usage": usage} if usage else {})).encode() + b"\n\n"


def _signed(data: bytes, of: str) -> bytes:
    return data.replace(json.dumps(_EXTRA).encode(), signature(of))


def _fault(messages: list[Json]) -> str | None:
    asked = max(at for at, message in enumerate(messages) if message["role"] == "user")
    for at, message in enumerate(messages):
        calls = message.get("tool_calls", [])
        if message.keys() - _MESSAGE or any(call.keys() - _CALL for call in calls):
            return f"Invalid JSON payload received. Unknown name at messages[{at}]"
        put = [(call["id"], call.get("extra_content")) for call in calls]
        for of, extra in [(message.get("content"), message.get("extra_content")), *put]:
            if extra not in (None, _STAND_IN, json.loads(signature(of or ""))):
                return f"Corrupted thought signature at messages[{at}]"
        if calls and at > asked and put[0][1] is None:
            return f"Function call is missing a thought_signature in functionCall parts, position {at}"
    return None
