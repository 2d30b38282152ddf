"""What callers wish of a model's reasoning, in the terms that providers decide on."""

from msgspec import Struct

from quantized.core.request import GenerationRequest, ReasoningWish
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
    if wish.effort is not None and wish.max_tokens is not None:
        raise unsupported(
            "reasoning.max_tokens", "'reasoning' has an 'effort' or 'max_tokens'; say one of them"
        )
    if asks or wish.enabled or wish.summary is not None:
        return not refuses
    return False if refuses else None


def told_by(wish: ReasoningWish) -> str:
    """The field that said whether to reason."""
    for field in ("effort", "max_tokens", "enabled"):
        if getattr(wish, field) is not None:
            return f"reasoning.{field}"
    return "reasoning.summary"


def refuse_unheard(request: GenerationRequest) -> None:
    """Raises Refused for what a language knows nothing like that has neither penalties, seeds, biases and log
    probabilities nor answers in anything but text. What asks for none of it is granted unsaid."""
    sampling = request.sampling
    asked = {
        "frequency_penalty": bool(sampling.frequency_penalty),
        "presence_penalty": bool(sampling.presence_penalty),
        "repetition_penalty": sampling.repetition_penalty not in {None, 1},
        "seed": sampling.seed is not None,
        "logit_bias": bool(sampling.logit_bias),
        "logprobs": bool(sampling.logprobs),
        "top_logprobs": bool(sampling.top_logprobs),
    }
    for field, is_asked in asked.items():
        if is_asked:
            raise unsupported(field, "there is nothing like it; leave it out, or use another provider")
    if request.modalities is not None and request.modalities != ("text",):
        raise unsupported("modalities", "answers are text alone; use ['text'], or another provider")
    if request.audio is not None:
        raise unsupported("audio", "answers are text alone; leave it out, or use another provider")
