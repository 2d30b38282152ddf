"""Faults that name a message of the request, with the item of the input that it was made of."""

import re

from quantized.core.errors import Fault, ImageNotFetched, UnsupportedParameter
from quantized.surfaces.responses.compose import Conversation

_MESSAGE = re.compile(r"messages\[(\d+)\][\w.\[\]]*")


def located(fault: Fault, conversation: Conversation) -> Fault:
    """A fault of ours that names a message, as one that names its item, where there is one and only one. An
    index that a provider tells counts what the provider was sent, and stays away."""
    found = _MESSAGE.fullmatch(fault.param or "")
    if found is None or not isinstance(fault, UnsupportedParameter | ImageNotFetched):
        return fault
    item = _item(conversation, int(found[1]))
    if item is None:
        return fault
    message = fault.message.replace(found[0], item)
    return type(fault)(message, param=item, code=fault.code, cause=fault.cause)


def _item(conversation: Conversation, at: int) -> str | None:
    """The path of the item behind the message `at`. None for what comes from the instructions or from an
    earlier turn, and for an assistant's turn of several items."""
    turns: list[set[str]] = []
    before = ""
    for item in conversation.items:
        for message in item.messages:
            # As `asked.merged` joins them.
            if not (before == message.role == "assistant"):
                turns.append(set())
            turns[-1].add(item.asked.path)
            before = message.role
    own = at - (len(conversation.request.messages) - len(conversation.own))
    return turns[own].pop() if 0 <= own < len(turns) and len(turns[own]) == 1 else None
