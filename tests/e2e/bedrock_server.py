"""Bedrock's runtime on a real socket, as strict as the real one about what it receives."""

import json
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote, unquote

from anthropic_server_answers import answer, scene
from anthropic_server_cache import PromptCache
from anthropic_server_faults import ApiError
from bedrock_server_credentials import STATIC, Identity, check_credentials
from bedrock_server_messages import Json, as_content, as_messages, as_reason, as_usage
from bedrock_server_models import ACCOUNT, Model, served
from bedrock_server_rules import check
from bedrock_server_stream import exception, frames, told
from hostile import Behaviour, Hostile, Peer, Seen
from hostile_behaviours import END, MARK, piece, response

_ARN = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/whatever"

FAULTS = {
    "throttling": ApiError(429, "ThrottlingException", f"Too many tokens, please wait. {MARK}"),
    "validation": ApiError(
        400,
        "ValidationException",
        "The model returned the following errors: Input is too long for requested model.",
    ),
    "access": ApiError(
        403, "AccessDeniedException", f"User: {_ARN} is not authorized to perform: bedrock:InvokeModel {MARK}"
    ),
    "no-access": ApiError(
        403,
        "AccessDeniedException",
        f"You don't have access to the model with the specified model ID. {MARK}",
    ),
    "not-ready": ApiError(429, "ModelNotReadyException", f"Model is not ready for inference. {MARK}"),
    "timeout": ApiError(408, "ModelTimeoutException", f"The request took too long to process. {MARK}"),
    "model-error": ApiError(424, "ModelErrorException", f"The model could not. {MARK}"),
    "quota": ApiError(400, "ServiceQuotaExceededException", f"You have exceeded your quota {_ARN} {MARK}"),
    "internal": ApiError(500, "InternalServerException", f"The system encountered an error {MARK}"),
    "unavailable": ApiError(503, "ServiceUnavailableException", f"Bedrock is unable to process {MARK}"),
    "expired": ApiError(403, "ExpiredTokenException", f"The security token is expired {MARK}"),
    "unrecognized": ApiError(403, "UnrecognizedClientException", f"The security token is invalid {MARK}"),
    "signature": ApiError(403, "InvalidSignatureException", f"Signature expired {MARK}"),
    "not-found": ApiError(404, "ResourceNotFoundException", f"Could not resolve {_ARN} {MARK}"),
    "unknown-model": ApiError(400, "ValidationException", "The provided model identifier is invalid."),
}
STREAM_FAULTS = {
    "stream-throttling": ("throttlingException", f"Too many requests {MARK}"),
    "stream-validation": ("validationException", f"The model returned the following errors: No. {MARK}"),
    "stream-model-error": ("modelStreamErrorException", f"The model broke {MARK}"),
    "stream-internal": ("internalServerException", f"The system encountered an error {MARK}"),
    "stream-unavailable": ("serviceUnavailableException", f"Not now {MARK}"),
}
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"x-amzn-requestid: 5fd1b2a3-0000-4000-8000-000000000000\r\ntransfer-encoding: chunked\r\n\r\n"
)


class BedrockServer(Hostile):
    """`refused` is what was wrong with requests. Where only good ones may come it must stay empty.
    `identities` by access key; those in `expired` are known and over."""

    def __init__(self) -> None:
        super().__init__({}, {})
        self.cache = PromptCache()
        self.refused: list[str] = []
        self.identities: dict[str, Identity] = {STATIC.access_key: STATIC}
        self.expired: set[str] = set()
        self.askers: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def model_id(self, seen: Seen) -> str:
        return unquote(seen.path.split("/")[2])

    def judged(self, path: str, headers: Mapping[str, str], body: Json) -> list[str]:
        """Nothing: what is wrong is answered, and noted in `refused`."""
        return []

    def behaviour(self, seen: Seen) -> Behaviour:
        try:
            return self._answering(seen)
        except ApiError as error:
            self.refused.append(f"{error.status} {error.message}: {json.dumps(seen.body)}")
            return _failing(error)

    def _answering(self, seen: Seen) -> Behaviour:
        model_id, stream = _place(seen.path)
        self.askers.append(
            check_credentials(self.identities, self.expired, seen.path, seen.headers, seen.raw)
        )
        wanted = "application/vnd.amazon.eventstream" if stream else "application/json"
        asked_for = (seen.headers.get("content-type"), seen.headers.get("accept", wanted))
        if asked_for != ("application/json", wanted):
            raise ApiError(415, "UnsupportedMediaType", "content-type or accept")
        model, asked = check(seen.body, model_id, stream=stream)
        name = scene(asked).name
        if name in FAULTS:
            return _failing(FAULTS[name])
        message = answer(asked, model.rules, self.cache.count(asked, model.rules))
        content, usage = as_content(message, model), as_usage(message["usage"])
        reason = "guardrail_intervened" if name == "guardrail" else as_reason(message["stop_reason"])

        async def behave(peer: Peer) -> None:
            if name.endswith("-once") and peer.tries == 1:
                await _failing(FAULTS[name.removesuffix("-once")])(peer)
            elif stream:
                await peer.write(_HEAD)
                await _BREAKS.get(name, _whole)(peer, name, list(frames(content, reason, usage)))
            else:
                body = {
                    "output": {"message": {"role": "assistant", "content": content}},
                    "stopReason": reason,
                    "usage": usage,
                    "metrics": {"latencyMs": 7},
                }
                written = response(json.dumps(body).encode())
                if name in _BREAKS:
                    # Of a broken answer that is no stream there is half of the body.
                    await peer.write(written[:-20])
                    peer.close()
                else:
                    await peer.write(written)

        return behave


def told_model(seen: Seen) -> tuple[str, Model, Json]:
    """(own id, model, request in the model's words) of a request that was good."""
    model_id, _ = _place(seen.path)
    found = served(model_id)
    assert found is not None
    return *found, as_messages(seen.body, *found)


def _place(path: str) -> tuple[str, bool]:
    """(model id, whether to stream). The id is one segment, encoded as AWS does it."""
    match path.split("/"):
        case ["", "model", encoded, "converse" | "converse-stream" as way] if "?" not in path:
            model_id = unquote(encoded)
            if quote(model_id, safe="-._~") == encoded:
                return model_id, way == "converse-stream"
    raise ApiError(404, "UnknownOperationException", path)


def _failing(error: ApiError) -> Behaviour:
    async def behave(peer: Peer) -> None:
        body = json.dumps({"message": error.message}).encode()
        kind = f"x-amzn-errortype: {error.kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
        request_id = "x-amzn-requestid: 5fd1b2a3-0000-4000-8000-000000000000"
        await peer.write(response(body, error.status, "application/json", kind, request_id))

    return behave


async def _whole(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    for one in all_frames:
        await peer.write(piece(one))
    await peer.write(END)


async def _exception(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    await _whole(peer, name, [*all_frames[:4], exception(*STREAM_FAULTS[name])])


async def _exception_first(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    await _whole(peer, name, [exception(*STREAM_FAULTS[name.removeprefix("first-")])])


async def _bad_crc(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    damaged = bytearray(all_frames[4])
    damaged[-20] ^= 1
    await _whole(peer, name, [*all_frames[:4], bytes(damaged), *all_frames[5:]])


async def _truncated(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    await _whole(peer, name, all_frames[:-2])


async def _half_a_frame(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    await _whole(peer, name, [*all_frames[:4], all_frames[4][:-5]])


async def _uncounted(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    await _whole(peer, name, [*all_frames[:-1], told("metadata", metrics={"latencyMs": 7})])


async def _no_metadata(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    await _whole(peer, name, all_frames[:-1])


async def _cut(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    for one in all_frames[:4]:
        await peer.write(piece(one))
    peer.close()


async def _silence(peer: Peer, name: str, all_frames: list[bytes]) -> None:
    for one in all_frames[:4]:
        await peer.write(piece(one))
    await peer.hang()


_BREAKS: dict[str, Callable[[Peer, str, list[bytes]], Awaitable[None]]] = {
    **dict.fromkeys(STREAM_FAULTS, _exception),
    **{f"first-{name}": _exception_first for name in STREAM_FAULTS},
    "bad-crc": _bad_crc,
    "half-a-frame": _half_a_frame,
    "truncated": _truncated,
    "uncounted": _uncounted,
    "no-metadata": _no_metadata,
    "cut": _cut,
    "silence": _silence,
}
