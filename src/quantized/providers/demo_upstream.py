"""The server behind the demo provider, in this process: requests in, the bytes of a Chat Completions server
out."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2s
from typing import Any

from msgspec.json import Decoder, Encoder

from quantized.core.ports import Clock
from quantized.providers.demo_answer import Answer, Request, answer
from quantized.providers.provider import UpstreamCall
from quantized.upstream.call import Patience, Sent, UpstreamFailure, unheard

_decode = Decoder(Request).decode
_encode = Encoder().encode

_FINGERPRINT = "fp_demo"


class DemoResponse:
    status = 200

    def __init__(self, content_type: str, pieces: list[bytes], pause_seconds: float) -> None:
        self.headers: Mapping[str, str] = {"content-type": content_type}
        self._pieces = iter(pieces)
        self._pause = pause_seconds
        self._aborted = asyncio.Event()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        while data := await self.next():
            if not take(data):
                return False
        return True

    def arrived(self) -> bytes:
        return b""

    async def next(self) -> bytes:
        if self._pause:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._aborted.wait(), self._pause)
        else:
            # Others have their turn here, as they would while a socket is silent.
            await asyncio.sleep(0)
        if self._aborted.is_set():
            raise UpstreamFailure("body", "aborted", aborted=True)
        return next(self._pieces, b"")

    async def read(self, limit: int) -> bytes:
        body = b""
        while piece := await self.next():
            body += piece
            if len(body) > limit:
                raise UpstreamFailure("body", f"longer than {limit} bytes")
        return body

    def let_go(self, seconds: float) -> None:
        """There is no connection to keep."""

    def abort(self) -> None:
        self._aborted.set()


class DemoUpstream:
    """`pause_seconds` is waited before each piece of a stream."""

    def __init__(self, clock: Clock, pause_seconds: float = 0.0) -> None:
        self._clock = clock
        self._pause = pause_seconds

    async def send(
        self,
        call: UpstreamCall,
        patience: Patience,  # noqa: ARG002 (never late)
        sent: Sent = unheard,
    ) -> DemoResponse:
        sent(True)
        content_type, pieces = respond(call.body, self._clock.now_ms())
        return DemoResponse(content_type, pieces, self._pause if len(pieces) > 1 else 0.0)

    async def close(self) -> None:
        pass


def respond(body: bytes, now_ms: int) -> tuple[str, list[bytes]]:
    """(content type, the pieces of the body) for a request's JSON. The same for the same arguments.

    Raises msgspec.DecodeError where the request is none.
    """
    request = _decode(body)
    telling = _Telling(request, answer(request), body, now_ms)
    if request.stream:
        return "text/event-stream", [b"data: " + frame + b"\n\n" for frame in telling.frames()]
    return "application/json", [telling.whole()]


class _Telling:
    """One answer as bytes."""

    def __init__(self, request: Request, said: Answer, body: bytes, now_ms: int) -> None:
        self._request = request
        self._said = said
        self._digest = blake2s(body + now_ms.to_bytes(8, "big"), digest_size=12).hexdigest()
        self._head = {
            "id": f"demo-{self._digest}",
            "model": request.model,
            "created": now_ms // 1000,
            "system_fingerprint": _FINGERPRINT,
        }

    def frames(self) -> Iterator[bytes]:
        said = self._said
        yield self._chunk({"role": "assistant", "content": ""})
        if said.shows_thoughts:
            for thought in said.thoughts:
                yield self._chunk({"reasoning": thought, "reasoning_details": [_detail(thought)]})
        for word in said.words:
            logprobs = self._logprobs((word,)) if self._request.logprobs else None
            yield self._chunk({"content": word}, logprobs=logprobs)
        for index, (name, pieces) in enumerate(said.calls):
            call = {"index": index, **self._call(index, name, "")}
            yield self._chunk({"tool_calls": [call]})
            for piece in pieces:
                delta = {"index": index, "function": {"arguments": piece}}
                yield self._chunk({"tool_calls": [delta]})
        yield self._chunk({}, finish=said.finish)
        yield self._object("chat.completion.chunk", choices=[], usage=self._usage())
        yield b"[DONE]"

    def whole(self) -> bytes:
        said = self._said
        message: dict[str, Any] = {"role": "assistant", "content": "".join(said.words) or None}
        if said.thoughts and said.shows_thoughts:
            thoughts = "".join(said.thoughts)
            message |= {"reasoning": thoughts, "reasoning_details": [_detail(thoughts)]}
        if said.calls:
            calls = enumerate(said.calls)
            message["tool_calls"] = [self._call(i, name, "".join(pieces)) for i, (name, pieces) in calls]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(said.words) if self._request.logprobs else None,
            "finish_reason": said.finish,
        }
        return self._object("chat.completion", choices=[choice], usage=self._usage())

    def _chunk(self, delta: dict[str, Any], *, logprobs: Any = None, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._object("chat.completion.chunk", choices=[choice], usage=None)

    def _object(self, kind: str, **rest: Any) -> bytes:
        return _encode({"object": kind, **self._head, **rest})

    def _call(self, index: int, name: str, arguments: str) -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return {"id": f"call_{self._digest}_{index}", "type": "function", "function": function}

    def _logprobs(self, words: tuple[str, ...]) -> dict[str, Any]:
        return {
            "content": [_logprob(word, self._request.top_logprobs or 0) for word in words],
            "refusal": None,
        }

    def _usage(self) -> dict[str, Any]:
        said = self._said
        return {
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": said.completion_tokens,
            "total_tokens": said.prompt_tokens + said.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": len(said.thoughts)},
        }


def _detail(text: str) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}


def _logprob(word: str, top: int) -> dict[str, Any]:
    """Well-formed and made up: the first choice is nearly certain, each further one less."""
    alternatives = [word, *(f"{word}{'?' * n}" for n in range(1, top))][:top]
    ranked = [{**_token(text), "logprob": -0.01 - 2.0 * rank} for rank, text in enumerate(alternatives)]
    return {**_token(word), "logprob": -0.01, "top_logprobs": ranked}


def _token(text: str) -> dict[str, Any]:
    return {"token": text, "bytes": list(text.encode())}
