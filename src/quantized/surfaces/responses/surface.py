"""The Responses API as a surface: from a body to a conversation, from events to what a client reads."""

from typing import Final

from quantized.core.errors import Fault
from quantized.core.fold import Answer
from quantized.core.turns import Found, Turn
from quantized.core.usage import Bill
from quantized.surfaces.responses.asked import ResponsesAsked
from quantized.surfaces.responses.compose import Conversation, compose
from quantized.surfaces.responses.errors import render_error
from quantized.surfaces.responses.parse import parse
from quantized.surfaces.responses.render import Identity, answered, render
from quantized.surfaces.responses.stream import ResponsesRenderer
from quantized.surfaces.surface import ErrorAnswer


class ResponsesSurface:
    """`depth` is the deepest nesting of a body that is read, in arrays and objects."""

    name: Final = "responses"
    language: Final = "responses"

    def __init__(self, depth: int = 128) -> None:
        self._depth = depth

    def parse(self, body: bytes) -> ResponsesAsked:
        """Raises InvalidRequest and its kinds, with the path of the field."""
        return parse(body, self._depth)

    def compose(self, asked: ResponsesAsked, found: Found) -> Conversation:
        """Raises InvalidValue for a reference to nothing."""
        return compose(asked, found)

    def renderer(self, conversation: Conversation, identity: Identity) -> ResponsesRenderer:
        return ResponsesRenderer(conversation, identity)

    def turn(self, conversation: Conversation, identity: Identity, answer: Answer, searches: int) -> Turn:
        """Of an answer that came whole."""
        return answered(conversation, identity, answer, searches)

    def render(self, turn: Turn, bill: Bill | None) -> bytes:
        """The JSON body of a whole answer, now or later."""
        return render(turn, bill)

    def render_error(self, fault: Fault) -> ErrorAnswer:
        return render_error(fault)
