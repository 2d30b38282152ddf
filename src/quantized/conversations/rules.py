"""The rules of stored conversations, without a database: how long they may be, and for how long they stay."""

from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct

from quantized.core.errors import ConversationTooLong, ResponseNotFound
from quantized.storage.turns import Link

PARAM = "previous_response_id"
_DAY_MS = 86_400_000


class Limits(Struct, frozen=True):
    """What one request may bring back: turns of its conversation, and bytes as they are stored."""

    turns: int
    bytes: int


def expires_at(created_at: int, setting_days: int, license_days: int | None) -> int | None:
    """Until when (Unix milliseconds) a response is kept that was made at `created_at`; None is for ever, and
    so are 0 days. What the licence's type says goes before the setting."""
    days = setting_days if license_days is None else license_days
    return created_at + days * _DAY_MS if days else None


def whole_chain(asked: str, links: Sequence[Link], limits: Limits) -> list[str]:
    """The ids of a conversation up to the response `asked` for, the oldest first. `links` as `chain` of
    `storage.turn_store.TurnReader` gives them.

    Raises ResponseNotFound, naming the one that is missing, and ConversationTooLong.
    """
    if not links:
        raise ResponseNotFound(asked, param=PARAM)
    first = links[-1]
    if first.depth > limits.turns:
        _refuse(f"has more than {limits.turns} turns", PARAM)
    if first.size > limits.bytes:
        _refuse(f"is larger than {limits.bytes} bytes", PARAM)
    if first.previous_id is not None:
        raise ResponseNotFound(
            first.previous_id, param=PARAM, cause=f"{asked} continues {first.previous_id}, which is gone"
        )
    return [link.id for link in reversed(links)]


def check_size(size: int, limits: Limits) -> None:
    """Of what is brought back beside the conversation. Raises ConversationTooLong."""
    if size > limits.bytes:
        _refuse(f"refers to more than {limits.bytes} bytes of stored items", "input")


def _refuse(what: str, param: str) -> NoReturn:
    raise ConversationTooLong(
        f"The conversation {what}. Begin a new one with what matters of it.",
        param=param,
        code="conversation_too_long",
    )
