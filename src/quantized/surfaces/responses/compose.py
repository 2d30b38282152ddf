"""What was asked and what the store knew about it, to one conversation."""

from collections.abc import Mapping

from msgspec import Raw, Struct
from msgspec.structs import replace

from quantized.core.errors import InvalidValue
from quantized.core.parts import AnyPart, Reasoning, ToolCall, ToolResult
from quantized.core.request import GenerationRequest, Message
from quantized.core.turns import Found
from quantized.surfaces.responses.asked import AskedItem, ResponsesAsked, merged
from quantized.surfaces.responses.items import ItemReference, ReasoningItem


class ComposedItem(Struct, frozen=True):
    """An input item and what it came to. `shown` is the JSON of the item that a reference stands for."""

    asked: AskedItem
    messages: tuple[Message, ...]
    shown: Raw | None = None


class Conversation(Struct, frozen=True):
    """One request, complete. `own` are the messages of this turn alone, without instructions; they and the
    answer are what a later turn continues."""

    asked: ResponsesAsked
    request: GenerationRequest
    items: tuple[ComposedItem, ...]
    own: tuple[Message, ...]


def compose(asked: ResponsesAsked, found: Found) -> Conversation:
    """The instructions first, then the history, then the input, with what the caller left to the store put
    back: items that were only named, and the reasoning that belongs to tool calls.

    Raises InvalidValue for a reference to an item that is not stored or was named before, and for the output
    of a call that nobody made.
    """
    _check_repeats(asked.items, found)
    items = tuple([_resolve(item, found) for item in asked.items])
    _check_calls(found.history, items)
    flat = tuple([message for item in items for message in item.messages])
    own = tuple([_restored(message, found.reasoning) for message in merged(flat)])
    messages = asked.instructions + found.history + own
    return Conversation(asked, replace(asked.request, messages=messages), items, own)


def _check_repeats(asked: tuple[AskedItem, ...], found: Found) -> None:
    """A few bytes of the body bring back a whole item, and may do so only once."""
    named: set[str] = set()
    for item in asked:
        match item.item:
            case ItemReference(item_id) | ReasoningItem(_, str(item_id)) if item_id in found.items:
                if item_id in named:
                    path = f"{item.path}.id"
                    raise InvalidValue(
                        f"Invalid value for '{path}': an earlier item has the id '{item_id[:64]}' too.",
                        param=path,
                        code="invalid_value",
                    )
                named.add(item_id)


def _resolve(asked: AskedItem, found: Found) -> ComposedItem:
    match asked.item:
        case ItemReference(item_id):
            if item_id not in found.items:
                path = f"{asked.path}.id"
                raise InvalidValue(
                    f"Invalid value for '{path}': no stored item has the id '{item_id[:64]}'.",
                    param=path,
                    code="item_not_found",
                )
            return ComposedItem(asked, found.items[item_id], found.shown.get(item_id))
        case ReasoningItem(_, str(item_id)) if item_id in found.items:
            return ComposedItem(asked, found.items[item_id])
        case _:
            return ComposedItem(asked, () if asked.message is None else (asked.message,))


def _check_calls(history: tuple[Message, ...], items: tuple[ComposedItem, ...]) -> None:
    called = {part.id for message in history for part in message.parts if isinstance(part, ToolCall)}
    for item in items:
        for part in [part for message in item.messages for part in message.parts]:
            match part:
                case ToolCall(call_id):
                    called.add(call_id)
                case ToolResult(call_id) if call_id not in called:
                    path = f"{item.asked.path}.call_id"
                    raise InvalidValue(
                        f"Invalid value for '{path}': no earlier function call has the id '{call_id[:64]}'.",
                        param=path,
                        code="invalid_value",
                    )


def _restored(message: Message, known: Mapping[ToolCall, tuple[Reasoning, ...]]) -> Message:
    """The message with the reasoning that preceded its calls, as its maker sealed it. Reasoning that came
    back sealed stays as it is; a readable copy without seals makes way for the original."""
    calls = [part for part in message.parts if isinstance(part, ToolCall) and part in known]
    if not calls or any(isinstance(part, Reasoning) and part.seals for part in message.parts):
        return message
    parts: list[AnyPart] = []
    told: tuple[Reasoning, ...] = ()
    for part in message.parts:
        if isinstance(part, Reasoning):
            continue
        thoughts = known.get(part, ()) if isinstance(part, ToolCall) else ()
        # Each call knows all reasoning before it, so of the later ones only the rest is new.
        new = thoughts[len(told) :] if thoughts[: len(told)] == told else thoughts
        # A model thinks before it speaks; what it thought between two calls stays between them.
        place = len(parts) if told else 0
        parts[place:place] = new
        told += new
        parts.append(part)
    return Message(message.role, tuple(parts), message.name)
