"""The chat completions API as a surface."""

from typing import Final

from quantized.core.errors import Fault
from quantized.core.fold import Answer
from quantized.core.request import GenerationRequest
from quantized.core.usage import Bill
from quantized.surfaces.chat.errors import render_error
from quantized.surfaces.chat.parse import parse
from quantized.surfaces.chat.render import render
from quantized.surfaces.chat.stream import ChatRenderer
from quantized.surfaces.surface import ErrorAnswer


class ChatSurface:
    """`depth` is the deepest nesting of a body that is read, in arrays and objects."""

    name: Final = "chat"
    language: Final = "openai_chat"

    def __init__(self, depth: int = 128) -> None:
        self._depth = depth

    def parse(self, body: bytes) -> GenerationRequest:
        return parse(body, self._depth)

    def renderer(self, request: GenerationRequest) -> ChatRenderer:
        return ChatRenderer(request)

    def render(self, request: GenerationRequest, answer: Answer, bill: Bill) -> bytes:
        return render(request, answer, bill)

    def render_error(self, fault: Fault) -> ErrorAnswer:
        return render_error(fault)
