"""The tapes, and which provider reads which."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec.json import decode

from quantized.core.parts import Seal
from quantized.core.request import GenerationRequest
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.openai_chat.details import whole
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.provider import Provider

_HERE = Path(__file__).parent
STREAMS = {path.stem: path.read_bytes() for path in sorted(_HERE.glob("*.sse"))}
BODIES = {path.stem: path.read_bytes() for path in sorted(_HERE.glob("*.json"))}
BROKEN_STREAMS = {path.stem: path.read_bytes() for path in sorted(_HERE.glob("broken/*.sse"))}
BROKEN_BODIES = {path.stem: path.read_bytes() for path in sorted(_HERE.glob("broken/*.json"))}
ALL_STREAMS = {**STREAMS, **{f"broken/{name}": tape for name, tape in BROKEN_STREAMS.items()}}

REQUEST = GenerationRequest(model="author/model", messages=(), stream=True)
CHAT = OpenAIChatProvider("taped", "http://taped.invalid/v1")
MESSAGES = AnthropicProvider("http://taped.invalid", "key")


def is_messages(name: str) -> bool:
    """Whether a tape is of the Messages language; all others are of Chat Completions."""
    return name.rpartition("/")[2].startswith("anthropic_")


def provider_of(name: str) -> Provider:
    return MESSAGES if is_messages(name) else CHAT


def end_of(name: str, tape: bytes) -> int:
    """How many bytes of a tape tell all of it: up to its end mark, behind everything where it has none."""
    mark = b'"message_stop"' if is_messages(name) else b"[DONE]"
    at = tape.rfind(mark)
    if at < 0:
        return len(tape) + 1
    return tape.index(b"}", at) + 1 if is_messages(name) else at + len(mark)


def blocks_of(seals: Iterable[Seal]) -> list[Any]:
    """The reasoning blocks behind these seals, fragments put together."""
    seals = tuple(seals)
    if all(seal.payload.startswith(b"[") for seal in seals):
        return [decode(block) for block in whole(seals)]
    return [decode(seal.payload) for seal in seals]
