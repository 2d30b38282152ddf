"""The wish to reason, as each family of models is told it."""

from typing import Any

from msgspec import Struct

from quantized.core.request import ReasoningWish
from quantized.providers.anthropic.models import Abilities
from quantized.providers.anthropic.thinking import plan
from quantized.providers.bedrock.families import Family
from quantized.providers.refusal import unsupported
from quantized.providers.wishes import Cap, told_by, wants_reasoning

_UNNAMED = "medium"
"""The effort of a model that has to be told one, where only reasoning as such was asked for."""


class Reasoned(Struct, frozen=True):
    """`fields` of `additionalModelRequestFields`, `effort` of `outputConfig`. `wanted`: the caller asked for
    reasoning. `unbounded`: the model takes no output cap and no sampling parameters beside it."""

    fields: dict[str, Any] = {}
    effort: str | None = None
    wanted: bool = False
    unbounded: bool = False


def reasoned(wish: ReasoningWish | None, family: Family, cap: Cap | None, *, forced: bool) -> Reasoned:
    """`cap`: None where no cap is sent. `forced`: the caller demands a tool call.

    Raises Refused; InsufficientCredits where the balance pays for less than what is asked for takes.
    """
    if family.claude is not None and cap is not None:
        return _claude(wish, family.claude, cap, forced=forced)
    wanted = wants_reasoning(wish)
    if wish is None or wanted is None or (not wanted and family.reasoning == "none"):
        return Reasoned()
    _check(wish, family)
    if not wanted:
        return Reasoned(_off(wish, family))
    effort = _effort(wish, family)
    if family.reasoning == "nova":
        config = {"type": "enabled", "maxReasoningEffort": effort or _UNNAMED}
        # The highest effort takes as many tokens as it likes.
        return Reasoned({"reasoningConfig": config}, wanted=True, unbounded=effort == "high")
    return Reasoned(_asked(effort, family), wanted=True)


def _check(wish: ReasoningWish, family: Family) -> None:
    if family.reasoning == "none":
        raise unsupported(told_by(wish), "how this model reasons cannot be chosen; leave 'reasoning' out")
    if wish.summary not in {None, "auto"}:
        raise unsupported("reasoning.summary", "how reasoning is told cannot be chosen; use 'auto'")
    if wish.max_tokens is not None:
        raise unsupported("reasoning.max_tokens", "this model has no such budget; use 'reasoning.effort'")


def _asked(effort: str | None, family: Family) -> dict[str, Any]:
    """Nothing where the model reasons by itself, and as much as it likes."""
    match family.reasoning:
        case "toggle":
            return {"thinking": {"type": "enabled"}}
        case "flat" if effort is not None or "none" in family.efforts:
            return {"reasoning_effort": effort or _UNNAMED}
        case "object" if effort is not None:
            return {"reasoning": {"effort": effort}}
    return {}


def _claude(wish: ReasoningWish | None, model: Abilities, cap: Cap, *, forced: bool) -> Reasoned:
    found = plan(wish, model, cap, forced=forced)
    fields = {} if found.config is None else {"thinking": found.config}
    return Reasoned(fields, found.effort, found.wanted)


def _off(wish: ReasoningWish, family: Family) -> dict[str, Any]:
    match family.reasoning:
        case "nova":
            return {"reasoningConfig": {"type": "disabled"}}
        case "toggle":
            return {"thinking": {"type": "disabled"}}
        case "object" if "none" in family.efforts:
            return {"reasoning": {"effort": "none"}}
        case "flat" if "none" in family.efforts:
            return {}
    raise unsupported(told_by(wish), "this model always reasons; leave 'reasoning' out")


def _effort(wish: ReasoningWish, family: Family) -> str | None:
    """The least that can be asked of a model with levels is the lowest of them."""
    levels = [level for level in family.efforts if level != "none"]
    effort = "low" if wish.effort == "minimal" and "low" in levels else wish.effort
    if effort is None or effort in levels:
        return effort
    if not levels:
        raise unsupported(
            "reasoning.effort", "how much this model reasons cannot be chosen; use 'reasoning.enabled'"
        )
    named = ", ".join(f"'{level}'" for level in levels)
    raise unsupported("reasoning.effort", f"this model knows no '{effort}'; use one of {named}")
