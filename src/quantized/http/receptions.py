"""Where the requests of each surface are read: its body, and what the body refers to."""

from typing import ClassVar

from msgspec import Struct

from quantized.conversations.rules import expires_at
from quantized.core.errors import Fault, NotStored
from quantized.core.ports import Caller, ConversationStore
from quantized.core.turns import Found, Needs
from quantized.gateway.journal import Journal
from quantized.surfaces.chat.dialogue import ChatDialogue
from quantized.surfaces.chat.surface import ChatSurface
from quantized.surfaces.responses.dialogue import ResponsesDialogue
from quantized.surfaces.responses.render import Identity
from quantized.surfaces.responses.surface import ResponsesSurface
from quantized.surfaces.surface import ErrorAnswer


class ChatReception(Struct, frozen=True):
    """A chat request says all there is to know."""

    surface: ChatSurface
    name: ClassVar[str] = ChatSurface.name

    async def open(self, caller: Caller, body: bytes, journal: Journal) -> ChatDialogue:  # noqa: ARG002
        return ChatDialogue(self.surface.parse(body))

    def render_error(self, fault: Fault) -> ErrorAnswer:
        return self.surface.render_error(fault)


class ResponsesReception(Struct, frozen=True):
    """A Responses request may continue a conversation that is stored. `retention_days` is the setting."""

    surface: ResponsesSurface
    store: ConversationStore
    retention_days: int

    name: ClassVar[str] = ResponsesSurface.name

    async def open(self, caller: Caller, body: bytes, journal: Journal) -> ResponsesDialogue:
        """Raises also NotStored, ResponseNotFound, ConversationTooLong, LedgerUnavailable."""
        asked = self.surface.parse(body)
        found = Found() if asked.needs == Needs() else await self._find(caller, asked.needs)
        identity = Identity(
            id=f"resp-{journal.request_id.removeprefix('req-')}",
            created_at=journal.started_at // 1000,
            stored=caller.stores_responses,
        )
        until = expires_at(journal.started_at, self.retention_days, caller.retention_days)
        return ResponsesDialogue(self.surface.compose(asked, found), identity, until)

    async def _find(self, caller: Caller, needs: Needs) -> Found:
        if not caller.stores_responses:
            if needs.previous is not None:
                raise NotStored(
                    "'previous_response_id' is not available: the responses of this licence are not stored. "
                    "Send the conversation in 'input' instead.",
                    param="previous_response_id",
                    code="responses_not_stored",
                )
            return Found()
        return await self.store.find(caller.license_id, needs)

    def render_error(self, fault: Fault) -> ErrorAnswer:
        return self.surface.render_error(fault)
