"""The tapes, and which provider reads which."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec.json import decode

from quantized.core.parts import Seal
from quantized.core.request import GenerationRequest
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.bedrock.provider import BedrockProvider
from quantized.providers.bedrock.signing import BearerToken
from quantized.providers.openai_chat.details import whole
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.provider import Provider

_HERE = Path(__file__).parent


def _tapes(folder: Path, *endings: str) -> dict[str, bytes]:
    paths = sorted(path for ending in endings for path in folder.glob(f"*.{ending}"))
    return {path.stem: path.read_bytes() for path in paths}


STREAMS = _tapes(_HERE, "sse", "eventstream")
BODIES = _tapes(_HERE, "json")
BROKEN_STREAMS = _tapes(_HERE / "broken", "sse", "eventstream")
BROKEN_BODIES = _tapes(_HERE / "broken", "json")
ALL_STREAMS = {**STREAMS, **{f"broken/{name}": tape for name, tape in BROKEN_STREAMS.items()}}

REQUEST = GenerationRequest(model="author/model", messages=(), stream=True)
CHAT = OpenAIChatProvider("taped", "http://taped.invalid/v1")
MESSAGES = AnthropicProvider("http://taped.invalid", "key")
CONVERSE = BedrockProvider("us-east-1", BearerToken("key"), endpoint="http://taped.invalid")


def is_messages(name: str) -> bool:
    """Whether a tape is of the Messages language."""
    return name.rpartition("/")[2].startswith("anthropic_")


def is_converse(name: str) -> bool:
    """Whether a tape is of Converse; all that are neither this nor the other are of Chat Completions."""
    return name.rpartition("/")[2].startswith("bedrock_")


def provider_of(name: str) -> Provider:
    if is_converse(name):
        return CONVERSE
    return MESSAGES if is_messages(name) else CHAT


def end_of(name: str, tape: bytes) -> int:
    """How many bytes of a tape tell all of it: up to its end mark, behind everything where it has none."""
    if is_converse(name):
        return _end_of_frames(tape)
    mark = b'"message_stop"' if is_messages(name) else b"[DONE]"
    at = tape.rfind(mark)
    if at < 0:
        return len(tape) + 1
    return tape.index(b"}", at) + 1 if is_messages(name) else at + len(mark)


def frames_of(tape: bytes) -> list[bytes]:
    """The frames of a binary tape; the last may be cut off."""
    frames = []
    while tape:
        size = max(1, int.from_bytes(tape[:4], "big"))
        frames.append(tape[:size])
        tape = tape[size:]
    return frames


def _end_of_frames(tape: bytes) -> int:
    """The usage comes after the end mark, and all has been told without it."""
    end = 0
    for frame in frames_of(tape):
        end += len(frame)
        if b"messageStop" in frame:
            return end
    return len(tape) + 1


def blocks_of(seals: Iterable[Seal]) -> list[Any]:
    """The reasoning blocks behind these seals, fragments put together."""
    seals = tuple(seals)
    if all(seal.payload.startswith(b"[") for seal in seals):
        return [decode(block) for block in whole(seals)]
    return [decode(seal.payload) for seal in seals]
