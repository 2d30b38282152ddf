"""What callers wish of a model's reasoning, in the terms that providers decide on."""

from msgspec import Struct

from quantized.core.request import ReasoningWish
from quantized.providers.refusal import unsupported


class Cap(Struct, frozen=True):
    """The output cap that is sent, in tokens. `lowered`: it is what the balance pays for, not what anybody
    asked for."""

    tokens: int
    lowered: bool


def wants_reasoning(wish: ReasoningWish | None) -> bool | None:
    """None where nobody said; to be shown or not to be shown any is to say nothing about it. Raises Refused
    for a wish that contradicts itself."""
    if wish is None:
        return None
    asks = wish.effort not in {None, "none"} or wish.max_tokens is not None
    refuses = wish.effort == "none" or wish.enabled is False
    if refuses and (asks or wish.enabled):
        raise unsupported("reasoning.enabled", "'reasoning' asks for thinking and for none; say one of them")
    if asks or wish.enabled or wish.summary is not None:
        return not refuses
    return False if refuses else None


def told_by(wish: ReasoningWish) -> str:
    """The field that said whether to reason."""
    for field in ("effort", "max_tokens", "enabled"):
        if getattr(wish, field) is not None:
            return f"reasoning.{field}"
    return "reasoning.summary"
