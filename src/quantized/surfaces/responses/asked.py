"""A Responses request once it has been read, before anything stored has been looked up."""

from msgspec import Struct

from quantized.core.request import GenerationRequest, Message
from quantized.core.turns import Needs
from quantized.surfaces.responses.items import AnyItem
from quantized.surfaces.responses.schema import ResponseRequest


class AskedItem(Struct, frozen=True):
    """One input item: where it stood in the body, what was written, and the message it stands for. A search
    stands for none, a reference for one with a `Reference`."""

    path: str
    item: AnyItem
    message: Message | None


class ResponsesAsked(Struct, frozen=True):
    """`request.messages` are the instructions and the input, references unresolved and without what
    `needs` would bring. `written` is the body itself."""

    request: GenerationRequest
    needs: Needs
    items: tuple[AskedItem, ...]
    instructions: tuple[Message, ...]
    written: ResponseRequest


def merged(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Assistant messages that follow each other are one turn: reasoning, text and calls of one answer come as
    items of their own."""
    turns: list[Message] = []
    for message in messages:
        if turns and message.role == turns[-1].role == "assistant":
            turns[-1] = Message("assistant", turns[-1].parts + message.parts)
        else:
            turns.append(message)
    return tuple(turns)
