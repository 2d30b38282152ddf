"""What becomes of an answer that was kept, and what goes on after it."""

import json
from collections.abc import Iterable

import msgspec
from taped import REQUEST

from quantized.core.fold import Answer
from quantized.core.parts import AnyPart, OutputText, Reasoning, Refusal, Text, ToolCall, ToolResult
from quantized.core.request import GenerationRequest, Message
from quantized.core.usage import Bill, Usage
from quantized.surfaces.chat.surface import ChatSurface

ASKED = Message("user", (Text("Hi"),))


def stored(answer: Answer) -> Message:
    """The answer as a part of the history, after a stay in a database."""
    parts: list[AnyPart] = []
    for part in answer.parts:
        match part:
            case OutputText(text):
                parts.append(Text(text))
            case Reasoning() | ToolCall() | Refusal():
                parts.append(part)
            case _:
                raise AssertionError(f"no part that goes back: {part}")
    message = Message("assistant", tuple(parts))
    return msgspec.json.decode(msgspec.json.encode(message), type=Message)


def through_chat(answer: Answer) -> tuple[Message, ...]:
    """A question and the answer, as a chat client sends them back: in one message, its texts one text by
    then, its calls and its blocks apart from it."""
    message = json.loads(ChatSurface().render(REQUEST, answer, Bill(Usage(), 1, 2)))["choices"][0]["message"]
    history = [{"role": "user", "content": "Hi"}, message]
    body = json.dumps({"model": "author/model", "messages": history})
    return ChatSurface().parse(body.encode()).messages


def going_on(messages: Iterable[Message]) -> GenerationRequest:
    """The request after these messages: each call has its result, or the user says something."""
    told = list(messages)
    calls = [part.id for message in told for part in message.parts if isinstance(part, ToolCall)]
    results = [Message("tool", (ToolResult(call, (Text("done"),)),)) for call in calls]
    return msgspec.structs.replace(
        REQUEST, messages=(*told, *(results or [Message("user", (Text("Go on."),))]))
    )
