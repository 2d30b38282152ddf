"""The store of conversations that requests talk to."""

from collections.abc import Callable, Mapping, Sequence

from quantized.conversations.rules import PARAM, Limits, check_size, whole_chain
from quantized.core.errors import ResponseNotFound
from quantized.core.ids import canonical_response_id
from quantized.core.parts import Reasoning, ToolCall
from quantized.core.ports import Clock
from quantized.core.request import Message
from quantized.core.turns import Found, KeptTurn, Needs, StoredItem, fingerprint
from quantized.storage import turn_format
from quantized.storage.turn_store import TurnReader, TurnStore


class Conversations:
    """`core.ports.ConversationStore`. `response_of` tells which response an item id says it is of; None for
    an id that is nobody's here."""

    def __init__(
        self, turns: TurnStore, clock: Clock, limits: Limits, response_of: Callable[[str], str | None]
    ) -> None:
        self._turns = turns
        self._clock = clock
        self._limits = limits
        self._response_of = response_of

    async def find(self, license_id: str, needs: Needs) -> Found:
        if needs == Needs():
            return Found()
        return await self._turns.read(
            license_id, self._clock.now_ms(), lambda reader: self._found(reader, needs)
        )

    async def get(self, license_id: str, response_id: str) -> KeptTurn:
        wanted = canonical_response_id(response_id)
        kept = await self._turns.find(license_id, self._clock.now_ms(), wanted)
        if kept is None:
            raise ResponseNotFound(response_id)
        return kept

    async def delete(self, license_id: str, response_id: str) -> None:
        if not await self._turns.delete(license_id, canonical_response_id(response_id)):
            raise ResponseNotFound(response_id)

    def _found(self, reader: TurnReader, needs: Needs) -> Found:
        items = self._items(reader, needs.items)
        return Found(
            history=() if needs.previous is None else self._history(reader, needs.previous),
            items={item_id: item.messages for item_id, item in items.items()},
            shown={item_id: item.json for item_id, item in items.items()},
            reasoning=self._reasoning(reader, needs.calls),
        )

    def _history(self, reader: TurnReader, previous: str) -> tuple[Message, ...]:
        limits = self._limits
        links = reader.chain(canonical_response_id(previous), turns=limits.turns, size=limits.bytes)
        ids = whole_chain(previous, links, limits)
        history: list[Message] = []
        for response_id, context in zip(ids, reader.contexts(ids), strict=True):
            if context is None:
                raise ResponseNotFound(response_id, param=PARAM, cause="deleted while it was read")
            history += turn_format.decode_context(context)
        return tuple(history)

    def _items(self, reader: TurnReader, item_ids: Sequence[str]) -> Mapping[str, StoredItem]:
        """Nearly all items that are referred to are of answers, so that inputs, which may be large, are read
        only for the rest."""
        owners = {id_: owner for id_ in item_ids if (owner := self._response_of(id_)) is not None}
        sizes = {size.id: size for size in reader.sizes([*dict.fromkeys(owners.values())])}
        bytes_read = sum(size.answer for size in sizes.values())
        check_size(bytes_read, self._limits)
        found: dict[str, StoredItem] = {}
        for answer in reader.answers([*sizes]):
            if answer is not None:
                found |= _among(owners, turn_format.decode_answer(answer).output)
        rest = {owner for id_, owner in owners.items() if id_ not in found and owner in sizes}
        check_size(bytes_read + sum(sizes[owner].input for owner in rest), self._limits)
        for blob in reader.inputs([*rest]):
            if blob is not None:
                found |= _among(owners, turn_format.decode_input(blob))
        return found

    def _reasoning(
        self, reader: TurnReader, calls: Sequence[ToolCall]
    ) -> dict[ToolCall, tuple[Reasoning, ...]]:
        """Some providers number the calls of every answer alike. Whose reasoning belongs to such a call
        nobody can tell, and the wrong one would be another person's: so only to a call whose id one answer
        alone has made, and only if it is that call still."""
        made = {link.call_id: link for link in reader.own_calls([*dict.fromkeys(call.id for call in calls)])}
        known = {
            call: link
            for call in calls
            if (link := made.get(call.id)) is not None and link.fingerprint == fingerprint(call)
        }
        sizes = {link.response_id: link.size for link in known.values()}
        check_size(sum(sizes.values()), self._limits)
        thoughts = {
            response_id: turn_format.decode_reasoning(blob)
            for response_id, blob in zip(sizes, reader.reasoning([*sizes]), strict=True)
            if blob is not None
        }
        return {
            call: thoughts[link.response_id][: link.thoughts]
            for call, link in known.items()
            if link.response_id in thoughts
        }


def _among(wanted: Mapping[str, str], items: Sequence[StoredItem]) -> dict[str, StoredItem]:
    return {item.id: item for item in items if item.id in wanted}
