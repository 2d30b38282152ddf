"""A conversation to the language's messages."""

from collections.abc import Iterable
from typing import Any

from msgspec import Raw, Struct

from quantized.core.parts import (
    AnyPart,
    Audio,
    AudioReference,
    CacheMark,
    File,
    Image,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from quantized.core.request import Message
from quantized.providers.openai_chat import beside
from quantized.providers.openai_chat.assembly import DETAILS
from quantized.providers.openai_chat.beside import Beside
from quantized.providers.openai_chat.details import whole
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.refusal import unsupported
from quantized.providers.places import DamagedSeal
from quantized.providers.refusal import Damaged

Content = str | list[dict[str, Any]] | None


class OutMessage(Struct, omit_defaults=True):
    role: str
    content: Content
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[Raw] | None = None
    audio: dict[str, str] | None = None
    extra_content: Raw | None = None


class MessageEncoder:
    """Encodes for one provider and its dialect. Everything raises UnsupportedParameter, and InvalidValue
    where what the provider sealed is not as it was."""

    def __init__(self, provider: str, dialect: Dialect) -> None:
        self._provider = provider
        self._dialect = dialect

    def encode(self, message: Message, at: int) -> OutMessage:
        """`at`: which of the messages it is."""
        role = message.role
        if role == "tool":
            return self._tool(message)
        if role == "developer" and not self._dialect.developer_role:
            role = "system"
        match message.parts:
            case (Text(text, None),):
                # Nearly every message is nothing but one text.
                return OutMessage(role=role, content=text, name=message.name)
        out = OutMessage(role=role, content=None, name=message.name)
        said: list[Text | Image | Audio | File] = []
        for part in message.parts:
            self._place(part, out, said)
        if said or role != "assistant":
            out.content = self._content(said)
        if role == "assistant":
            self._put_back(message.parts, out, at)
        return out

    def _put_back(self, parts: Iterable[AnyPart], out: OutMessage, at: int) -> None:
        """What the provider put beside the message and its calls. What stood beside a call that is gone is
        left out with it."""
        seals = [seal for part in parts if isinstance(part, Reasoning) for seal in part.seals]
        ours = [seal for seal in seals if beside.is_ours(seal, self._provider)]
        calls = out.tool_calls or []
        try:
            found = Beside(ours)
        except DamagedSeal as error:
            raise Damaged(f"messages[{at}].reasoning_details").by(self._provider) from error
        out.extra_content = found.of(None)
        for call in calls:
            if (extra := found.of(call["id"])) is not None:
                call["extra_content"] = extra
        unsigned = self._dialect.unsigned_calls
        if calls and unsigned is not None and not any("extra_content" in call for call in calls):
            calls[0]["extra_content"] = Raw(unsigned.encode())

    def _tool(self, message: Message) -> OutMessage:
        out = OutMessage(role="tool", content="", name=message.name)
        for part in message.parts:
            if not isinstance(part, ToolResult):
                raise unsupported(self._provider, "messages[].content")
            out.tool_call_id = part.call_id
            out.content = self._content(part.parts)
        return out

    def _place(self, part: AnyPart, out: OutMessage, said: list[Text | Image | Audio | File]) -> None:
        match part:
            case Text() | Image() | Audio() | File():
                said.append(part)
            case ToolCall(call_id, name, arguments):
                call = {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                out.tool_calls = [*(out.tool_calls or ()), call]
            case Reasoning():
                self._reasoning(part, out)
            case Refusal(text):
                out.refusal = (out.refusal or "") + text
            case AudioReference(audio_id):
                out.audio = {"id": audio_id}
            case ToolResult():
                raise unsupported(self._provider, "messages[].content")

    def _reasoning(self, part: Reasoning, out: OutMessage) -> None:
        """What another provider sealed is dropped whole, with the text that belongs to the seal."""
        field = self._dialect.reasoning_field
        if field is None:
            return
        aside = False
        ours: list[Seal] = []
        for seal in part.seals:
            if beside.is_ours(seal, self._provider):
                aside = True
            elif seal.kind == DETAILS and seal.minted_by in {None, self._provider}:
                ours.append(seal)
        if part.seals and not ours and not aside:
            return
        if part.text:
            setattr(out, field, (getattr(out, field) or "") + part.text)
        if ours and self._dialect.replays_details:
            out.reasoning_details = [*(out.reasoning_details or ()), *whole(ours)]

    def _content(self, parts: Iterable[Text | Image | Audio | File]) -> Content:
        parts = tuple(parts)
        match parts:
            case ():
                return ""
            case (Text(text, None),):
                return text
            case _:
                return [self._part(part) for part in parts]

    def _part(self, part: Text | Image | Audio | File) -> dict[str, Any]:
        out: dict[str, Any]
        match part:
            case Text(text):
                out = {"type": "text", "text": text}
            case Image(url, detail):
                image = {"url": url} if detail is None else {"url": url, "detail": detail}
                out = {"type": "image_url", "image_url": image}
            case Audio(data, kind):
                out = {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
            case File(filename, data, file_id):
                named = {"filename": filename, "file_data": data, "file_id": file_id}
                out = {"type": "file", "file": {k: v for k, v in named.items() if v is not None}}
        if part.cache is not None:
            out["cache_control"] = self.cache_control(part.cache)
        return out

    def cache_control(self, mark: CacheMark) -> dict[str, str]:
        if not self._dialect.cache_control:
            raise unsupported(self._provider, "cache_control")
        return {"type": "ephemeral"} if mark.ttl is None else {"type": "ephemeral", "ttl": mark.ttl}
