"""One request of the Responses API, with its conversation, ready to be answered."""

from collections.abc import Callable
from functools import partial
from typing import Final

from quantized.core.errors import Fault
from quantized.core.fold import Answer
from quantized.core.request import GenerationRequest
from quantized.core.turns import StoredTurn, Turn
from quantized.core.usage import Bill, Usage
from quantized.surfaces.responses.compose import Conversation
from quantized.surfaces.responses.locate import located
from quantized.surfaces.responses.render import Identity, answered, render
from quantized.surfaces.responses.stream import ResponsesRenderer
from quantized.surfaces.responses.surface import ResponsesSurface


class ResponsesDialogue:
    """`expires_at` (Unix milliseconds, None for ever) counts where `identity` says that it will be stored."""

    language: Final = ResponsesSurface.language

    def __init__(self, conversation: Conversation, identity: Identity, expires_at: int | None) -> None:
        self._conversation = conversation
        self._identity = identity
        self._expires_at = expires_at

    @property
    def request(self) -> GenerationRequest:
        return self._conversation.request

    def renderer(self) -> ResponsesRenderer:
        return ResponsesRenderer(self._conversation, self._identity)

    def located(self, fault: Fault) -> Fault:
        return located(fault, self._conversation)

    def whole(self, answer: Answer, usage: Usage) -> tuple[Turn, Callable[[Bill], bytes]]:
        turn = answered(self._conversation, self._identity, answer, usage.web_searches)
        return turn, partial(render, turn)

    def kept(self, turn: Turn | None) -> StoredTurn | None:
        if turn is None or not self._identity.stored:
            return None
        return StoredTurn(turn, self._expires_at)
