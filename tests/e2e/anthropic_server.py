"""The Messages API on a real socket, as strict as the real one about what it receives."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from anthropic_server_answers import answer, scene
from anthropic_server_cache import PromptCache
from anthropic_server_faults import ApiError
from anthropic_server_models import ServedModel, served
from anthropic_server_rules import VERSIONS, check
from anthropic_server_stream import frame, frames
from hostile import Behaviour, Hostile, Peer, Seen
from hostile_behaviours import END, MARK, STREAM_HEAD, piece, response

ANTHROPIC_KEY = "sk-ant-api03-upstream-secret-5d41402abc4b2a76"

_FAULTS = {
    "400": ApiError(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
    "path-400": ApiError(
        400, "invalid_request_error", "messages.2.content.0.image.source.base64.data: image exceeds 5 MB"
    ),
    "billing-400": ApiError(
        400, "invalid_request_error", f"Your credit balance is too low to access the Anthropic API. {MARK}"
    ),
    "401": ApiError(401, "authentication_error", f"invalid x-api-key {MARK}"),
    "402": ApiError(402, "billing_error", f"There is an issue with billing {MARK}"),
    "403": ApiError(403, "permission_error", f"This organization {MARK} has been disabled"),
    "404": ApiError(404, "not_found_error", "model: claude-whatever"),
    "413": ApiError(413, "request_too_large", "Request exceeds the maximum size"),
    "429": ApiError(
        429, "rate_limit_error", f"This request would exceed your organization's rate limit {MARK}"
    ),
    "500": ApiError(500, "api_error", f"Internal server error {MARK}"),
    "529": ApiError(529, "overloaded_error", f"Overloaded {MARK}"),
}


class AnthropicServer(Hostile):
    """`refused` is what was wrong with requests. Where only good ones may come it must stay empty."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.cache = PromptCache()
        self.refused: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def model_of(self, seen: Seen) -> ServedModel:
        found = served(seen.body["model"])
        assert found is not None
        return found[1]

    def judged(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> list[str]:
        """Nothing: what is wrong is answered, and noted in `refused`."""
        return []

    def behaviour(self, seen: Seen) -> Behaviour:
        try:
            return self._answering(seen)
        except ApiError as error:
            self.refused.append(f"{error.status} {error.message}: {json.dumps(seen.body)}")
            return _failing(error)

    def _answering(self, seen: Seen) -> Behaviour:
        _check_head(seen.path, seen.headers)
        body = seen.body
        model = check(body, seen.headers["anthropic-version"], seen.headers.get("anthropic-beta", ""))
        name = scene(body).name
        if name in _FAULTS:
            return _failing(_FAULTS[name])
        if name in _TROUBLES:
            return _TROUBLES[name]
        counted = self.cache.count(body, model)
        if name == "unreadable":
            # Half a token is no count, and what tells of it is no beginning of an answer.
            counted = counted._replace(fresh=counted.fresh + 0.5)  # type: ignore[arg-type]
        message = answer(body, model, counted)

        async def behave(peer: Peer) -> None:
            if name.endswith("-once") and peer.tries == 1:
                await _failing(_FAULTS[name.removesuffix("-once")])(peer)
            elif body.get("stream"):
                await peer.write(STREAM_HEAD)
                await _BREAKS.get(name, _whole)(peer, list(frames(message, counted.fresh)))
            elif name in _BREAKS:
                # Of a broken answer that is no stream there is half of the body.
                whole = response(json.dumps(message).encode())
                await peer.write(whole[:-20])
                peer.close()
            else:
                await peer.write(
                    response(json.dumps(message).encode(), 200, "application/json", "request-id: req_1")
                )

        return behave


def _check_head(path: str, headers: Mapping[str, str]) -> None:
    if path.partition("?")[0] != "/v1/messages":
        raise ApiError(404, "not_found_error", f"Not found: {path}")
    # The official package now shows its key as a bearer token, everybody else as the API documents it.
    shown = [headers[name] for name in ("x-api-key", "authorization") if name in headers]
    if shown not in ([ANTHROPIC_KEY], [f"Bearer {ANTHROPIC_KEY}"]):
        raise ApiError(401, "authentication_error", "invalid x-api-key")
    if headers.get("anthropic-version") not in VERSIONS:
        raise ApiError(400, "invalid_request_error", "anthropic-version: header is required")
    if headers.get("content-type") != "application/json":
        raise ApiError(400, "invalid_request_error", "content-type: must be application/json")


def _failing(error: ApiError) -> Behaviour:
    async def behave(peer: Peer) -> None:
        more = ["request-id: req_011CSHoEeqs5C35K2UUqR7Fy"]
        if error.status == 429:
            more.append("retry-after: 0")
        await peer.write(response(error.body, error.status, "application/json", *more))

    return behave


async def _whole(peer: Peer, all_frames: list[bytes]) -> None:
    for one in all_frames:
        await peer.write(piece(one))
    await peer.write(END)


async def _error_event(peer: Peer, all_frames: list[bytes]) -> None:
    told = frame("error", error={"type": "overloaded_error", "message": f"Overloaded {MARK}"})
    await _whole(peer, [*all_frames[:6], told])


async def _error_first(peer: Peer, all_frames: list[bytes]) -> None:
    await _whole(peer, [frame("error", error={"type": "overloaded_error", "message": f"Overloaded {MARK}"})])


async def _truncated(peer: Peer, all_frames: list[bytes]) -> None:
    await _whole(peer, all_frames[:-1])


async def _cut(peer: Peer, all_frames: list[bytes]) -> None:
    for one in all_frames[:6]:
        await peer.write(piece(one))
    peer.close()


async def _garbage(peer: Peer, all_frames: list[bytes]) -> None:
    await _whole(
        peer, [*all_frames[:5], b'event: content_block_delta\ndata: {"type": "con\n\n', *all_frames[5:]]
    )


async def _silence(peer: Peer, all_frames: list[bytes]) -> None:
    for one in all_frames[:6]:
        await peer.write(piece(one))
    await peer.hang()


async def _mute(peer: Peer) -> None:
    await peer.hang()


_BREAKS: dict[str, Callable[[Peer, list[bytes]], Awaitable[None]]] = {
    "error-event": _error_event,
    "error-first": _error_first,
    "truncated": _truncated,
    "cut": _cut,
    "garbage": _garbage,
    "silence": _silence,
}
_TROUBLES: dict[str, Behaviour] = {"mute": _mute}
