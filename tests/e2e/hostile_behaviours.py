"""How the hostile upstream treats a request, by the name of its model: `hostile/NAME`."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from hostile import Behaviour, Peer

ANSWER = "The capital of France is Paris."
WORDS = ["The", " capital", " of", " France", " is", " Paris", "."]
USAGE: dict[str, Any] = {"prompt_tokens": 25, "completion_tokens": 8, "total_tokens": 33}
MARK = "x-cause-7c6a180b"
"""In everything that only the log may tell."""

BEHAVIOURS: dict[str, Behaviour] = {}
_REASONS = {200: "OK"}


def behaviour(name: str) -> Callable[[Behaviour], Behaviour]:
    def register(behave: Behaviour) -> Behaviour:
        BEHAVIOURS[f"hostile/{name}"] = behave
        return behave

    return register


# Pieces of an answer.


def response(body: bytes, status: int = 200, kind: str = "application/json", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Whatever')}", f"content-type: {kind}"]
    lines += [f"content-length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    """A chunk of the transfer coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def completion(message: dict[str, Any] | None = None, usage: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "gen-1",
        "object": "chat.completion",
        "created": 1_719_000_000,
        "model": "hostile/model",
        "system_fingerprint": "fp_hostile",
        "choices": [
            {
                "index": 0,
                "message": message or {"role": "assistant", "content": ANSWER},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE if usage is None else usage,
    } | more


def frame(delta: dict[str, Any] | None = None, reason: str | None = None, **more: Any) -> bytes:
    chunk = {
        "id": "gen-1",
        "object": "chat.completion.chunk",
        "created": 1_719_000_000,
        "model": "hostile/model",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason}],
    } | more
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


FIRST = frame({"role": "assistant", "content": ""})
FINISH = frame(reason="stop")


def spoken(words: Iterable[str] = WORDS) -> list[bytes]:
    return [FIRST, *(frame({"content": word}) for word in words)]


def last(usage: Any = None) -> bytes:
    return frame(choices=[], usage=USAGE if usage is None else usage)


def whole(usage: Any = None) -> list[bytes]:
    """Every frame of a proper stream."""
    return [*spoken(), FINISH, last(usage), DONE]


async def stream(peer: Peer, frames: Iterable[bytes], *, end: bytes = END) -> None:
    await peer.write(STREAM_HEAD)
    for one in frames:
        await peer.write(piece(one))
    await peer.write(end)


async def tell(peer: Peer, answer: dict[str, Any]) -> None:
    await peer.write(response(json.dumps(answer).encode()))


def answering(usage: Any) -> Behaviour:
    """The plain answer with this `usage`; None: without any."""

    async def behave(peer: Peer) -> None:
        if not peer.seen.streams:
            body = completion(usage=usage)
            if usage is None:
                del body["usage"]
            await tell(peer, body)
        elif usage is None:
            await stream(peer, [*spoken(), FINISH, DONE])
        else:
            await stream(peer, whole(usage))

    return behave


# Good answers.

behaviour("plain")(answering(USAGE))
behaviour("second")(answering(USAGE))
behaviour("limited")(answering(USAGE))
behaviour("usage-missing")(answering(None))
behaviour("usage-zero")(answering({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}))
behaviour("usage-null")(answering(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))))
behaviour("usage-huge")(
    answering({"prompt_tokens": 25, "completion_tokens": 9_000_000, "total_tokens": 9_000_025})
)
behaviour("usage-detailed")(
    answering(
        {
            "prompt_tokens": 1_000,
            "completion_tokens": 301,
            "total_tokens": 1_301,
            "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 101},
            "completion_tokens_details": {"reasoning_tokens": 77},
            "cost": 0.00012345,
        }
    )
)

# Usage that no provider could mean.

for _name, _count in {
    "trillions": 10**30,
    "exponent": 1e300,
    "negative": -5,
    "words": "25",
    "list": [25],
}.items():
    behaviour(f"usage-{_name}")(
        answering({"prompt_tokens": _count, "completion_tokens": _count, "total_tokens": 0})
    )
behaviour("usage-word")(answering("a lot"))
behaviour("cost-absurd")(answering(USAGE | {"cost": 1e300}))
behaviour("cost-word")(answering(USAGE | {"cost": "free"}))
behaviour("cost-negative")(answering(USAGE | {"cost": -1}))

TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}


@behaviour("tools")
async def _tools(peer: Peer) -> None:
    """Calls the tool, and answers once its result is there."""
    if peer.seen.body["messages"][-1]["role"] == "tool":
        await BEHAVIOURS["hostile/plain"](peer)
        return
    if not peer.seen.streams:
        answer = completion({"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]})
        answer["choices"][0]["finish_reason"] = "tool_calls"
        await tell(peer, answer)
        return
    name = {"name": "get_weather", "arguments": ""}
    begun = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": name}]}
    rest = [
        frame({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        for part in ('{"city"', ': "Paris"}')
    ]
    first = frame({"role": "assistant", "content": None})
    await stream(peer, [first, frame(begun), *rest, frame(reason="tool_calls"), last(), DONE])


@behaviour("json")
async def _json(peer: Peer) -> None:
    """Fills the schema of a city, and says what it was asked."""
    kind = peer.seen.body["response_format"]["type"]
    text = '{"name": "Paris", "country": "France"}' if kind == "json_schema" else '{"ok": true}'
    if peer.seen.streams:
        await stream(peer, [*spoken([text[:9], text[9:]]), FINISH, last(), DONE])
    else:
        await tell(peer, completion({"role": "assistant", "content": text}))


@behaviour("rich")
async def _rich(peer: Peer) -> None:
    """Says more than the language knows."""
    detail = {"type": "reasoning.encrypted", "data": "c2VjcmV0", "id": "rs_1", "format": "f", "index": 0}
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]}
    message = {"content": "Hi", "reasoning": "Think.", "reasoning_details": [detail], "refusal": None}
    if peer.seen.streams:
        choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None, "logprobs": logprobs}
        thought = frame({"reasoning": "Think.", "reasoning_details": [detail]})
        await stream(peer, [FIRST, thought, frame(choices=[choice]), FINISH, last(), DONE])
    else:
        answer = completion({"role": "assistant", **message})
        answer["choices"][0]["logprobs"] = logprobs
        await tell(peer, answer)


@behaviour("drips")
async def _drips(peer: Peer) -> None:
    """A good answer, byte by byte."""
    frames = STREAM_HEAD + b"".join(map(piece, whole())) + END
    for byte in frames if peer.seen.streams else response(json.dumps(completion()).encode()):
        await peer.write(bytes((byte,)))
        await asyncio.sleep(0)


@behaviour("no-chunking")
async def _no_chunking(peer: Peer) -> None:
    """A good answer that ends with the connection."""
    body = b"".join(whole()) if peer.seen.streams else json.dumps(completion()).encode()
    await peer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n" + body)
    peer.close()


@behaviour("crlf-comments")
async def _crlf(peer: Peer) -> None:
    """The same frames with other line ends and comments between."""
    await stream(peer, [b": PROCESSING\r\n\r\n", *(one.replace(b"\n", b"\r\n") for one in whole())])


@behaviour("waits-then-answers")
async def _waits(peer: Peer) -> None:
    """Comments for a while, then a good answer."""
    await peer.write(STREAM_HEAD)
    for _ in range(4):
        await peer.write(piece(b": PROCESSING\n\n"))
        await asyncio.sleep(0.05)
    for one in whole():
        await peer.write(piece(one))
    await peer.write(END)


@behaviour("pauses")
async def _pauses(peer: Peer) -> None:
    """Is silent for half a second in the middle."""
    frames = whole()
    await peer.write(STREAM_HEAD + piece(frames[0]) + piece(frames[1]))
    await asyncio.sleep(0.5)
    await peer.write(b"".join(map(piece, frames[2:])) + END)


@behaviour("pauses-until-told")
async def _pauses_until_told(peer: Peer) -> None:
    """Is silent in the middle for as long as the test wants to."""
    frames = whole()
    await peer.write(STREAM_HEAD + piece(frames[0]) + piece(frames[1]))
    while not peer.seen.go_on.is_set():  # noqa: ASYNC110  it is another thread that tells
        await asyncio.sleep(0.01)
    await peer.write(b"".join(map(piece, frames[2:])) + END)


@behaviour("lingers")
async def _lingers(peer: Peer) -> None:
    """Everything is said, but the response does not end."""
    await stream(peer, whole(), end=b"")
    await peer.hang()


@behaviour("huge")
async def _huge(peer: Peer) -> None:
    """An answer of 8 MiB."""
    text = "é" * (4 * 1024 * 1024)
    await tell(peer, completion({"role": "assistant", "content": text}))


@behaviour("endless")
async def _endless(peer: Peer) -> None:
    """Words without end, as fast as they are taken."""
    await peer.write(STREAM_HEAD + piece(FIRST))
    words = piece(frame({"content": "word " * 800}))
    while True:
        await peer.write(words)


@behaviour("ticks")
async def _ticks(peer: Peer) -> None:
    """A word every 50 ms, without end."""
    await peer.write(STREAM_HEAD + piece(FIRST))
    while True:
        await peer.write(piece(frame({"content": "tick "})))
        await asyncio.sleep(0.05)


@behaviour("speaks-then-hangs")
async def _speaks(peer: Peer) -> None:
    await stream(peer, spoken(), end=b"")
    await peer.hang()


@behaviour("finishes-then-hangs")
async def _finishes(peer: Peer) -> None:
    """All but `[DONE]`."""
    await stream(peer, whole()[:-1], end=b"")
    await peer.hang()


@behaviour("head-then-hangs")
async def _head_hangs(peer: Peer) -> None:
    await peer.write(STREAM_HEAD if peer.seen.streams else response(b"x" * 99)[:-99])
    await peer.hang()


@behaviour("half-then-hangs")
async def _half_hangs(peer: Peer) -> None:
    body = response(json.dumps(completion()).encode())
    await peer.write(STREAM_HEAD + piece(FIRST) if peer.seen.streams else body[:-20])
    await peer.hang()


@behaviour("hangs")
async def _hangs(peer: Peer) -> None:
    await peer.hang()


@behaviour("only-comments")
async def _only_comments(peer: Peer) -> None:
    await peer.write(STREAM_HEAD)
    while True:
        await peer.write(piece(b": PROCESSING\n\n"))
        await asyncio.sleep(0.05)


# Breaking off.


def breaking(data: Callable[[bool], bytes], *, reset: bool = False) -> Behaviour:
    """Writes `data(streams)` and ends the connection."""

    async def behave(peer: Peer) -> None:
        await peer.write(data(peer.seen.streams))
        if reset:
            # What was written would be thrown away with the connection if it had not been read by then.
            await asyncio.sleep(0.05)
            peer.reset()
        peer.close()

    return behave


def _begun(frames: Iterable[bytes]) -> bytes:
    return STREAM_HEAD + b"".join(map(piece, frames))


_HALF = response(json.dumps(completion()).encode())[:-20]
behaviour("closes-before-head")(breaking(lambda _: b""))
behaviour("resets-before-head")(breaking(lambda _: b"", reset=True))
behaviour("closes-in-head")(breaking(lambda _: b"HTTP/1.1 200 OK\r\ncontent-ty"))
behaviour("resets-after-head")(
    breaking(lambda streams: STREAM_HEAD if streams else response(b"x" * 99)[:-99], reset=True)
)
behaviour("closes-after-head")(
    breaking(lambda streams: STREAM_HEAD if streams else response(b"x" * 99)[:-99])
)
behaviour("resets-mid-frame")(
    breaking(lambda streams: _begun([*spoken(), b'data: {"id"']) if streams else _HALF, reset=True)
)
behaviour("chunk-cut")(breaking(lambda streams: _begun(spoken())[:-7] if streams else _HALF))
behaviour("closes-mid-stream")(breaking(lambda streams: _begun(spoken()) if streams else _HALF))


def ending(*frames: bytes) -> Behaviour:
    """A stream of `frames` that ends properly as HTTP."""

    async def behave(peer: Peer) -> None:
        await stream(peer, frames)

    return behave


ERROR = {"message": f"Provider returned error {MARK}", "code": 502}
behaviour("no-done")(ending(*spoken(), FINISH, last()))
behaviour("no-finish")(ending(*spoken(), last(), DONE))
behaviour("broken-frame")(ending(*spoken(), b'data: {"id": "gen-1", "choi\n\n', FINISH, last(), DONE))
behaviour("binary-frame")(ending(*spoken(), b"data: \xff\xfe\x00\n\n", FINISH, last(), DONE))
behaviour("error-mid-stream")(ending(*spoken(), frame(reason="error", error=ERROR)))
behaviour("error-after-usage")(ending(*spoken(), last(), frame(reason="error", error=ERROR)))
behaviour("empty-stream")(ending())
behaviour("only-done")(ending(DONE))
behaviour("error-first-frame")(ending(b"data: " + json.dumps({"error": ERROR}).encode() + b"\n\n"))
behaviour("caller-error-first-frame")(
    ending(
        b"data: "
        + json.dumps(
            {"error": {"message": "This image cannot be read", "code": 400, "param": "messages"}}
        ).encode()
        + b"\n\n"
    )
)
behaviour("unending-frame")(ending(FIRST, b"data: " + b"x" * (32 * 1024 * 1024)))


def saying(body: bytes, kind: str = "application/json", status: int = 200, *headers: str) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.write(response(body, status, kind, *headers))

    return behave


behaviour("html")(saying(f"<html>{MARK}</html>".encode(), "text/html"))
behaviour("binary")(saying(bytes(range(256)) * 8, "application/octet-stream"))
behaviour("broken-json")(saying(b'{"id": "gen-1", "choices": [{'))
behaviour("empty-body")(saying(b""))
behaviour("json-null")(saying(b"null"))
behaviour("no-choices")(saying(b'{"id": "gen-1", "choices": []}'))
behaviour("error-in-200")(saying(json.dumps({"error": ERROR}).encode()))
behaviour("created-absurd")(saying(json.dumps(completion(created=10**40)).encode()))
behaviour("id-object")(saying(json.dumps(completion(id={"a": 1})).encode()))
behaviour("surrogate")(saying(json.dumps(completion({"role": "assistant", "content": "\ud800"})).encode()))
behaviour("not-http")(breaking(lambda _: b"220 smtp.example.org ESMTP\r\n\r\n"))
behaviour("huge-head")(breaking(lambda _: b"HTTP/1.1 200 OK\r\nx-filler: " + b"x" * 200_000 + b"\r\n\r\n"))
behaviour("compressed")(saying(b"\x1f\x8b\x08\x00", "application/json", 200, "content-encoding: gzip"))

STATUSES = (301, 400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 524, 529)
for _status in STATUSES:
    _body = {"error": {"message": f"Upstream says {_status} {MARK}", "code": _status}}
    behaviour(f"status-{_status}")(saying(json.dumps(_body).encode(), status=_status))
behaviour("status-429-later")(saying(b'{"error": "slow down"}', "application/json", 429, "retry-after: 17"))
behaviour("status-429-soon")(saying(b'{"error": "slow"}', "application/json", 429, "retry-after: 0.9"))
behaviour("model-unknown")(
    saying(b'{"error": {"message": "hostile/x is not a valid model ID", "code": 400}}', status=400)
)
behaviour("context-too-long")(
    saying(
        json.dumps(
            {
                "error": {
                    "message": "This model's maximum context length is 8192 tokens, see https://internal.example.com",
                    "code": "context_length_exceeded",
                    "param": "messages",
                }
            }
        ).encode(),
        status=400,
    )
)


def once(first: Behaviour) -> Behaviour:
    """Well from the second try on."""

    async def behave(peer: Peer) -> None:
        await (first if peer.tries == 1 else BEHAVIOURS["hostile/plain"])(peer)

    return behave


for _name in ("status-503", "status-429", "closes-before-head", "error-first-frame", "error-in-200"):
    behaviour(f"once-{_name}")(once(BEHAVIOURS[f"hostile/{_name}"]))
behaviour("once-busy")(once(saying(b"{}", "application/json", 429, "retry-after-ms: 20")))


@behaviour("late-head-then-comments")
async def _late_head_then_comments(peer: Peer) -> None:
    """Takes its time for the head, and then has nothing to say."""
    await asyncio.sleep(0.4)
    await peer.write(STREAM_HEAD)
    while True:
        await peer.write(piece(b": thinking\n\n"))
        await asyncio.sleep(0.05)
