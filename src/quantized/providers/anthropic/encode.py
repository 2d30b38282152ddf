"""A GenerationRequest to the body of a Messages request.

Every field of the request is either in the body or refused by name. What asks for just what the API does
anyway (a temperature of 1, a penalty of 0) is granted unsaid.
"""

from hashlib import sha256
from itertools import chain
from typing import Any

from msgspec.json import Encoder

from quantized.core.parts import CacheMark
from quantized.core.request import GenerationRequest, Sampling
from quantized.providers.anthropic.content import MessagesWriter
from quantized.providers.anthropic.models import Abilities, known
from quantized.providers.anthropic.seals import MAKER
from quantized.providers.anthropic.structured import format_of
from quantized.providers.anthropic.thinking import Plan, plan
from quantized.providers.anthropic.tools import choice_of, tools_of
from quantized.providers.caching import AutomaticCaching, check_marks, mark_automatically
from quantized.providers.content import Block, Turn
from quantized.providers.provider import Target
from quantized.providers.refusal import Refused, unsupported
from quantized.providers.structured import ONLY_JSON
from quantized.providers.turns import Conversation, check_end, in_loop_without_thought, leave_thoughts_out
from quantized.providers.wishes import Cap, refuse_unheard

_encode = Encoder().encode

_LEAST_TOP_P = 0.95
"""With thinking; below it the API refuses."""


_UNBOUND = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}
BINDING_BETA = ("anthropic-beta", "thinking-binding-controls-2026-08-01")
"""The header with which a request may say what becomes of thoughts that are bound to another prompt."""


def encode_body(
    request: GenerationRequest, target: Target, caching: AutomaticCaching, searches: int
) -> bytes:
    """`searches`: the most web searches that the request may make. Raises UnsupportedParameter, InvalidValue
    for sealed blocks that were changed, InsufficientCredits where the balance pays for less than the thinking
    that was asked for takes."""
    try:
        return _encode(_body(request, target, caching, searches))
    except Refused as refused:
        raise refused.by(MAKER) from None


def _body(
    request: GenerationRequest, target: Target, caching: AutomaticCaching, searches: int
) -> dict[str, Any]:
    model = known(target.model)
    refuse_unheard(request)
    cap = _cap(request, target, model)
    choice = choice_of(request, model)
    thinking = plan(request.reasoning, model, cap, forced=_forces(choice))
    history = Conversation(request.messages, MessagesWriter())
    tools = tools_of(request, model, searches)
    if request.output_format is not None and request.output_format.kind == "json_object":
        history.system.append(Block({"type": "text", "text": ONLY_JSON}, "response_format"))
    if thinking.config is not None and thinking.config["type"] in {"disabled", "between_tools"}:
        # They would be passed over, and bound ones to a changed prompt refused, with no way to say otherwise.
        leave_thoughts_out(history.turns)
    _check_media(history, model)
    check_end(history.turns, request.output_format, prefill=model.prefill, reasons=thinking.wanted)
    check_marks(tools, history.system, history.turns)
    mark_automatically(tools, history.system, history.turns, caching, model.cacheable)
    body: dict[str, Any] = {
        "model": target.model,
        "max_tokens": cap.tokens,
        "messages": [{"role": turn.role, "content": _sent(turn.blocks)} for turn in history.turns],
        "system": _sent(history.system),
        "tools": _sent(tools),
        "tool_choice": choice,
        "thinking": _thinking(thinking, history.turns, model),
        "output_config": _output_config(request, model, thinking),
        "stop_sequences": _stops(request.sampling.stop),
        "metadata": _metadata(request),
        **_sampling(request.sampling, model, thinking),
        "stream": request.stream or None,
    }
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def _sent(blocks: list[Block]) -> list[dict[str, Any]]:
    """The blocks with the marks that are on them."""
    return [
        block.body if block.cache is None else {**block.body, "cache_control": _cache_control(block.cache)}
        for block in blocks
    ]


def _cache_control(mark: CacheMark) -> dict[str, str]:
    return {"type": "ephemeral"} if mark.ttl is None else {"type": "ephemeral", "ttl": mark.ttl}


def _cap(request: GenerationRequest, target: Target, model: Abilities) -> Cap:
    own = request.max_output_tokens
    tokens = target.output_cap or own or model.max_output_tokens
    if max(tokens, own or 0) > model.max_output_tokens:
        raise unsupported("max_tokens", f"this model's answers have at most {model.max_output_tokens} tokens")
    return Cap(tokens, lowered=tokens < (own or model.max_output_tokens))


def _forces(choice: dict[str, Any] | None) -> bool:
    return choice is not None and choice["type"] in {"any", "tool"}


def _thinking(thinking: Plan, turns: list[Turn], model: Abilities) -> dict[str, Any] | None:
    """A loop of tool calls that began without thinking goes on without it: the API puts thinking off until
    the next question, and an older one refuses it.

    Thoughts that are bound to a prompt which has changed since (other instructions, other tools) are to be
    left out there rather than to fail the request. To say so to a model that has them says nothing new of its
    thinking, which is adaptive unless it is turned off."""
    config = thinking.config
    replays = any(block.thought for turn in turns for block in turn.blocks)
    if model.bound and replays and (config is None or config["type"] == "adaptive"):
        return {"type": "adaptive", **(config or {}), **_UNBOUND}
    budgeted = config is not None and config["type"] == "enabled"
    return None if budgeted and in_loop_without_thought(turns) else config


def _output_config(request: GenerationRequest, model: Abilities, thinking: Plan) -> dict[str, Any]:
    told = {"effort": thinking.effort, "format": format_of(request.output_format, model)}
    return {name: value for name, value in told.items() if value is not None}


def _sampling(sampling: Sampling, model: Abilities, thinking: Plan) -> dict[str, Any]:
    told = {
        "temperature": None if sampling.temperature == 1 else sampling.temperature,
        "top_p": None if sampling.top_p == 1 else sampling.top_p,
        "top_k": sampling.top_k,
    }
    given = {name: value for name, value in told.items() if value is not None}
    if given.get("temperature", 0) > 1:
        raise unsupported("temperature", "it lies between 0 and 1")
    if model.sampling == "neither":
        for name in given:
            raise unsupported(name, "this model samples in its own way; leave it out")
    if model.sampling == "one" and {"temperature", "top_p"} <= given.keys():
        raise unsupported("top_p", "this model takes 'temperature' or 'top_p', not both")
    if thinking.wanted:
        _check_beside_thinking(given)
    return given


def _check_beside_thinking(given: dict[str, Any]) -> None:
    for name in ("temperature", "top_k"):
        if name in given:
            raise unsupported(name, "it cannot be set beside 'reasoning'; leave one of them out")
    if given.get("top_p", 1) < _LEAST_TOP_P:
        raise unsupported("top_p", f"beside 'reasoning' it is at least {_LEAST_TOP_P}")


def _stops(stop: tuple[str, ...] | None) -> list[str]:
    for sequence in stop or ():
        if not sequence.strip():
            raise unsupported("stop", "a sequence of nothing but white space; use one with a visible sign")
    return list(stop or ())


def _metadata(request: GenerationRequest) -> dict[str, str]:
    """The one thing that the API wants to know is a name for the user that identifies nobody, so it gets a
    digest."""
    told = request.metadata or {}
    for name in told:
        if name != "user_id":
            raise unsupported("metadata", "it takes a 'user_id' and nothing else")
    user = told.get("user_id") if request.user is None else request.user
    if user is None:
        return {}
    if told.get("user_id", user) != user:
        raise unsupported("metadata", "its 'user_id' differs from 'user'; give one of them")
    return {"user_id": sha256(user.encode("utf-8", "surrogatepass")).hexdigest()}


def _check_media(history: Conversation, model: Abilities) -> None:
    taken = {"image": model.images, "document": model.documents}
    for block in chain.from_iterable(turn.blocks for turn in history.turns):
        inner = block.body.get("content")
        for body in [block.body, *(inner if isinstance(inner, list) else ())]:
            if not taken.get(body["type"], True):
                raise unsupported(block.path, f"this model reads no {body['type']}s; use a newer one")
