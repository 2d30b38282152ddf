"""The wish to reason, as each generation of models is told it."""

from typing import Any

from msgspec import Struct

from quantized.core.errors import InsufficientCredits
from quantized.core.request import ReasoningWish
from quantized.providers.anthropic.models import Abilities
from quantized.providers.refusal import unsupported
from quantized.providers.wishes import Cap, told_by, wants_reasoning

LEAST_BUDGET = 1_024

_SHARES = {"minimal": 0, "low": 20, "medium": 50, "high": 80, "xhigh": 90, "max": 95}
"""Percent of the output cap that a model with a budget may think with, by effort."""

_UNNAMED = "medium"
"""The effort where only thinking as such was asked for."""


class Plan(Struct, frozen=True):
    """`config` is the field `thinking`, `effort` that of `output_config`; None is left out. `wanted`: the
    caller asked for thinking."""

    config: dict[str, Any] | None = None
    effort: str | None = None
    wanted: bool = False


def plan(wish: ReasoningWish | None, model: Abilities, cap: Cap, *, forced: bool) -> Plan:
    """`forced`: the caller demands a tool call, which goes with no thinking.

    Raises Refused; InsufficientCredits where the balance pays for no thinking at all.
    """
    wanted = wants_reasoning(wish)
    if forced and wanted:
        raise unsupported(
            "tool_choice",
            "it demands a tool call, which goes with no thinking; use 'auto', or leave 'reasoning' out",
        )
    if wish is None or wanted is None:
        return Plan(_off(model)) if forced else Plan()
    if not wanted:
        if model.unthinking == "never":
            raise unsupported(
                told_by(wish), "this model always thinks; 'low' is the least 'reasoning.effort'"
            )
        return Plan(_off(model))
    if model.thinking == "none":
        raise unsupported(told_by(wish), "this model does not reason; leave 'reasoning' out")
    if wish.summary not in {None, "auto"}:
        raise unsupported("reasoning.summary", "summaries have one length; use 'auto'")
    if model.thinking == "budget" or (model.thinking == "either" and wish.max_tokens is not None):
        return Plan({"type": "enabled", "budget_tokens": _budget(wish, cap)}, wanted=True)
    return Plan(_adaptive(wish, model), _effort(wish, model), wanted=True)


def _off(model: Abilities) -> dict[str, Any] | None:
    """What a model that would think is told; nothing where that is not needed, or not possible."""
    return {"type": model.unthinking} if model.unthinking in {"disabled", "between_tools"} else None


def _adaptive(wish: ReasoningWish, model: Abilities) -> dict[str, Any]:
    if wish.max_tokens is not None:
        raise unsupported(
            "reasoning.max_tokens", "this model decides itself how long to think; use 'reasoning.effort'"
        )
    shown = {} if model.shows_thinking or wish.exclude else {"display": "summarized"}
    return {"type": "adaptive", **shown}


def _effort(wish: ReasoningWish, model: Abilities) -> str | None:
    """The least that can be asked of a model with levels is the lowest of them."""
    effort = "low" if wish.effort == "minimal" else wish.effort
    if effort is not None and effort not in model.efforts:
        levels = ", ".join(f"'{level}'" for level in model.efforts)
        raise unsupported("reasoning.effort", f"this model knows no '{effort}'; use one of {levels}")
    return effort


def _budget(wish: ReasoningWish, cap: Cap) -> int:
    """At least 1,024 tokens and less than the output cap, as the API demands."""
    if cap.tokens <= LEAST_BUDGET:
        if cap.lowered:
            raise InsufficientCredits(
                cause=f"thinking takes more than the {cap.tokens} tokens of the balance"
            )
        raise unsupported(
            told_by(wish),
            f"thinking takes at least {LEAST_BUDGET} tokens of 'max_tokens', which must be larger than that, "
            f"and is {cap.tokens}",
        )
    if wish.max_tokens is None:
        return max(LEAST_BUDGET, cap.tokens * _SHARES[wish.effort or _UNNAMED] // 100)
    if wish.max_tokens < LEAST_BUDGET:
        raise unsupported("reasoning.max_tokens", f"thinking takes at least {LEAST_BUDGET} tokens")
    if wish.max_tokens < cap.tokens:
        return wish.max_tokens
    if cap.lowered:
        return max(LEAST_BUDGET, cap.tokens * _SHARES["high"] // 100)
    raise unsupported(
        "reasoning.max_tokens",
        f"it must be smaller than the output cap ('max_tokens'), which is {cap.tokens}",
    )
