"""One request of the chat completions API, ready to be answered."""

from collections.abc import Callable
from functools import partial
from typing import Final

from quantized.core.errors import Fault
from quantized.core.fold import Answer
from quantized.core.request import GenerationRequest
from quantized.core.turns import StoredTurn, Turn
from quantized.core.usage import Bill, Usage
from quantized.surfaces.chat.render import render
from quantized.surfaces.chat.stream import ChatRenderer
from quantized.surfaces.chat.surface import ChatSurface


class ChatDialogue:
    """It leaves nothing behind but its charge."""

    __slots__ = ("request",)

    language: Final = ChatSurface.language

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request

    def renderer(self) -> ChatRenderer:
        return ChatRenderer(self.request)

    def located(self, fault: Fault) -> Fault:
        return fault

    def whole(self, answer: Answer, usage: Usage) -> tuple[None, Callable[[Bill], bytes]]:  # noqa: ARG002
        return None, partial(render, self.request, answer)

    def kept(self, turn: Turn | None) -> StoredTurn | None:  # noqa: ARG002
        return None
