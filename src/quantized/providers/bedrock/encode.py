"""A GenerationRequest to the body of a Converse or ConverseStream request.

Every field of the request is either in the body or refused by name. What asks for just what a model does
anyway (a penalty of 0, no log probabilities) is granted unsaid.
"""

import re
from typing import Any

from msgspec.json import Encoder

from quantized.core.errors import InsufficientCredits
from quantized.core.parts import CacheMark
from quantized.core.request import GenerationRequest, Sampling
from quantized.providers.bedrock.content import ConverseWriter
from quantized.providers.bedrock.families import Family
from quantized.providers.bedrock.seals import MAKER
from quantized.providers.bedrock.structured import text_format
from quantized.providers.bedrock.thinking import Reasoned, reasoned
from quantized.providers.bedrock.tools import Choice, choice_of, tools_of
from quantized.providers.caching import AutomaticCaching, check_marks, mark_automatically
from quantized.providers.content import Block, Turn
from quantized.providers.provider import Target
from quantized.providers.refusal import Refused, unsupported
from quantized.providers.structured import ONLY_JSON
from quantized.providers.turns import Conversation, check_end, in_loop_without_thought, leave_thoughts_out
from quantized.providers.wishes import Cap, refuse_unheard

_encode = Encoder().encode

_LEAST_TOP_P = 0.95
"""Beside a Claude's thinking; below it the model refuses."""

_META = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]*", re.ASCII)
_MOST_META = 16
_LONGEST_META = 256


def encode_body(
    request: GenerationRequest, target: Target, family: Family, caching: AutomaticCaching
) -> bytes:
    """Raises UnsupportedParameter, InvalidValue for sealed blocks that were changed, InsufficientCredits
    where the balance pays for less than the reasoning that was asked for takes."""
    try:
        return _encode(_body(request, target, family, caching))
    except Refused as refused:
        raise refused.by(MAKER) from None


def _body(
    request: GenerationRequest, target: Target, family: Family, caching: AutomaticCaching
) -> dict[str, Any]:
    refuse_unheard(request)
    if request.web_search is not None:
        raise unsupported("web_search_options", "it searches nothing; leave it out, or use another provider")
    choice = choice_of(request, family)
    cap = _cap(request, target, family)
    thinking = reasoned(request.reasoning, family, cap, forced=choice.forces)
    if thinking.unbounded:
        _check_unbounded(request, cap)
    tools = tools_of(request, family)
    talk = Conversation(request.messages, ConverseWriter(family))
    if request.output_format is not None and request.output_format.kind == "json_object":
        talk.system.append(Block({"text": ONLY_JSON}, "response_format"))
    if talk.system and not family.system:
        raise unsupported(talk.system[0].path, "this model takes no instructions; say it in a user's message")
    if _is_off(thinking):
        leave_thoughts_out(talk.turns)
    _accompany_documents(talk.turns)
    check_end(talk.turns, request.output_format, prefill=family.prefill, reasons=thinking.wanted)
    _mark(tools, talk, family, caching)
    body: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": _sent(turn.blocks)} for turn in talk.turns],
        "system": _sent(talk.system),
        "inferenceConfig": _inference(request.sampling, family, cap, thinking),
        "toolConfig": _tool_config(tools, choice),
        "additionalModelRequestFields": {
            **_begun(thinking, talk.turns),
            **_top_k(request.sampling.top_k, family, thinking),
            **({} if choice.own is None else {"tool_choice": choice.own}),
        },
        "requestMetadata": _metadata(request),
        "outputConfig": _told(
            {"textFormat": text_format(request.output_format, family), "effort": thinking.effort}
        ),
    }
    return {name: value for name, value in body.items() if value not in (None, [], {})}


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _sent(blocks: list[Block]) -> list[dict[str, Any]]:
    """The blocks, each with the cache point that is to stand after it."""
    sent: list[dict[str, Any]] = []
    for block in blocks:
        sent.append(block.body)
        if block.cache is not None:
            sent.append({"cachePoint": _cache_point(block.cache)})
    return sent


def _cache_point(mark: CacheMark) -> dict[str, str]:
    return {"type": "default"} if mark.ttl is None else {"type": "default", "ttl": mark.ttl}


def _cap(request: GenerationRequest, target: Target, family: Family) -> Cap | None:
    """None where neither the caller nor we know of one.

    A caller's own beyond the limit that the model's maker published is refused; beyond any other limit, it is
    for the API to judge. One that nobody asked for is no higher than the limit.
    """
    own, limit = request.max_output_tokens, family.max_output_tokens
    if family.claude is not None and own is not None and own > family.claude.max_output_tokens:
        raise unsupported(
            "max_tokens", f"this model's answers have at most {family.claude.max_output_tokens} tokens"
        )
    tokens = target.output_cap or own or limit
    if tokens is None:
        return None
    if own is None and limit is not None:
        return Cap(min(tokens, limit), lowered=tokens < limit)
    return Cap(tokens, lowered=own is not None and tokens < own)


def _check_unbounded(request: GenerationRequest, cap: Cap | None) -> None:
    if request.max_output_tokens is not None:
        raise unsupported(
            "reasoning.effort",
            "beside 'high' this model takes no 'max_tokens'; use 'medium', or leave it out",
        )
    if cap is not None and cap.lowered:
        raise InsufficientCredits(cause=f"'high' takes no cap, and the balance pays for {cap.tokens} tokens")


def _inference(sampling: Sampling, family: Family, cap: Cap | None, thinking: Reasoned) -> dict[str, Any]:
    told = {
        "maxTokens": None if cap is None or thinking.unbounded else cap.tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": _stops(sampling.stop, family),
    }
    if family.claude is not None:
        # What this family does anyway, and its newer models refuse to be told.
        told |= {name: None for name in ("temperature", "topP") if told[name] == 1}
    given = _told(told)
    _check_sampling(given, family, thinking)
    return given


def _check_sampling(given: dict[str, Any], family: Family, thinking: Reasoned) -> None:
    if given.get("temperature", 0) > 1:
        raise unsupported("temperature", "it lies between 0 and 1")
    asked = [
        (field, name) for field, name in (("temperature", "temperature"), ("top_p", "topP")) if name in given
    ]
    for field, _ in asked:
        if family.sampling == "neither":
            raise unsupported(field, "this model samples in its own way; leave it out")
        if thinking.unbounded:
            raise unsupported(field, "it cannot be set beside a 'reasoning.effort' of 'high'; leave one out")
    if family.sampling == "one" and len(asked) > 1:
        raise unsupported("top_p", "this model takes 'temperature' or 'top_p', not both")
    if family.claude is not None and thinking.wanted:
        if "temperature" in given:
            raise unsupported("temperature", "it cannot be set beside 'reasoning'; leave one of them out")
        if given.get("topP", 1) < _LEAST_TOP_P:
            raise unsupported("top_p", f"beside 'reasoning' it is at least {_LEAST_TOP_P}")


def _top_k(top_k: int | None, family: Family, thinking: Reasoned) -> dict[str, Any]:
    if top_k is None:
        return {}
    field = family.top_k
    if field is None or family.sampling == "neither":
        raise unsupported("top_k", "this model has nothing like it; leave it out")
    if thinking.unbounded or (family.claude is not None and thinking.wanted):
        raise unsupported("top_k", "it cannot be set beside 'reasoning'; leave one of them out")
    if not field.least <= top_k <= field.most:
        raise unsupported("top_k", f"of this model it lies between {field.least} and {field.most}")
    told: Any = top_k
    for name in reversed(field.path):
        told = {name: told}
    return dict(told)


def _stops(stop: tuple[str, ...] | None, family: Family) -> list[str] | None:
    if stop is None:
        return None
    if not family.stop:
        raise unsupported("stop", "this model takes no stop sequences; leave it out")
    for sequence in stop:
        if family.claude is not None and not sequence.strip():
            raise unsupported("stop", "a sequence of nothing but white space; use one with a visible sign")
    return list(stop)


def _tool_config(tools: list[Block], choice: Choice) -> dict[str, Any]:
    if not tools:
        return {}
    return _told({"tools": _sent(tools), "toolChoice": choice.converse})


def _begun(thinking: Reasoned, turns: list[Turn]) -> dict[str, Any]:
    """A loop of tool calls that began without thinking goes on without it, where thinking has a budget: such
    models refuse to begin it there."""
    match thinking.fields:
        case {"thinking": {"budget_tokens": _}} if in_loop_without_thought(turns):
            return {}
    return thinking.fields


def _is_off(thinking: Reasoned) -> bool:
    """Whether a model is told not to think. It would pass its thoughts over, or refuse them behind another
    prompt than the one that they are bound to."""
    match thinking.fields:
        case {"thinking": {"type": "disabled" | "between_tools"}}:
            return True
    return False


def _mark(tools: list[Block], talk: Conversation, family: Family, caching: AutomaticCaching) -> None:
    """Checks the caller's marks, and puts ours beside them."""
    marked = [block for block in (*tools, *talk.system, *_blocks(talk.turns)) if block.cache is not None]
    for block in marked:
        where = f"{block.path}.cache_control"
        if family.caching == "none":
            raise unsupported(where, "this model has no cache to be marked; leave it out")
        if block.cache is not None and block.cache.ttl == "1h" and family.caching != "lifetimes":
            raise unsupported(f"{where}.ttl", "this model's cache lives for five minutes; leave 'ttl' out")
        if block in tools and not family.caches_tools:
            raise unsupported(where, "this model caches no tools; mark a message")
    check_marks(tools, talk.system, talk.turns)
    if family.caching != "none":
        markable = tools if family.caches_tools else []
        mark_automatically(markable, talk.system, talk.turns, caching, family.cacheable)


def _blocks(turns: list[Turn]) -> list[Block]:
    return [block for turn in turns for block in turn.blocks]


def _accompany_documents(turns: list[Turn]) -> None:
    """Converse wants a text beside a document. Where nobody wrote one, the document's name is said."""
    for turn in turns:
        documents = [block.body["document"] for block in turn.blocks if "document" in block.body]
        if documents and not any("text" in block.body for block in turn.blocks):
            names = ", ".join([document["name"] for document in documents])
            turn.blocks.append(Block({"text": names}, turn.blocks[-1].path))


def _metadata(request: GenerationRequest) -> dict[str, str]:
    """For the account's own log of its calls; `user` is one entry of it."""
    told = dict(request.metadata or {})
    if request.user is not None:
        if told.get("user", request.user) != request.user:
            raise unsupported("metadata", "its 'user' differs from the field 'user'; give one of them")
        told["user"] = request.user
    if len(told) > _MOST_META:
        raise unsupported("metadata", f"together with 'user' it has at most {_MOST_META} entries")
    for name, value in told.items():
        field = "user" if name == "user" and request.user is not None else "metadata"
        if not name or not all(len(s) <= _LONGEST_META and _META.fullmatch(s) for s in (name, value)):
            raise unsupported(
                field,
                "it is written to a log that takes letters, digits, spaces and any of ':_@$#=/+,.-', at most "
                f"{_LONGEST_META} of them",
            )
    return told
