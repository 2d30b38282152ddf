"""Reported usage, whose counts overlap, to the house's disjoint buckets; reported cost to pico-dollars."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from quantized.core.usage import Usage

_MOST = 10**9
"""Tokens, a hundred times what the largest model can hold. No answer has more, and no ledger could charge
what a broken counter says."""

_LONGEST_OUTPUT = 131_072
"""Tokens of output, thinking and all, that a total alone is believed: the largest output limit that providers
publish for common models. A caller's own cap lowers it."""

_DEAREST = 10**6
"""Dollars that one answer could cost."""

Count = Annotated[int, Meta(le=_MOST)] | Annotated[float, Meta(le=_MOST)] | None


class _PromptDetails(Struct, frozen=True, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None


class _CompletionDetails(Struct, frozen=True, gc=False):
    reasoning_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _ServerTools(Struct, frozen=True, gc=False):
    web_search_requests: Count = None


class Reported(Struct, frozen=True):
    """The `usage` object of an answer."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    server_tool_use_details: _ServerTools | None = None
    server_tool_use: _ServerTools | None = None
    cost: Decimal | None = None


_NO_PROMPT, _NO_COMPLETION = _PromptDetails(), _CompletionDetails()
_PICO = Decimal(10) ** 12


def read_usage(
    reported: Reported, searches: int = 0, output_cap: int | None = None
) -> tuple[Usage | None, int | None]:
    """(usage, cost in pico-dollars); each None where it is not told. `searches` is the number of web searches
    where the server does not tell it, `output_cap` the most output tokens that the caller allowed.

    Half a report is none: a prompt without its completion, or the other way round, unless the total tells the
    completion. Reported totals win over reported details: a detail that does not fit into its total is cut to
    it. What `total_tokens` holds beyond the two counts is the prompt's cache where it is just as much, else
    thinking, if the details name that much or the whole output stays within what an answer can be; else it is
    nothing.
    """
    cost = reported.cost
    pico = (
        int((cost * _PICO).to_integral_value())
        if cost is not None and cost.is_finite() and 0 <= cost <= _DEAREST
        else None
    )
    longest = _LONGEST_OUTPUT if output_cap is None else min(output_cap, _LONGEST_OUTPUT)
    completion = reported.completion_tokens
    if completion is None:
        completion = _rest_of_total(reported, longest)
    if reported.prompt_tokens is None or completion is None:
        return None, pico
    return _disjoint(reported, _count(reported.prompt_tokens), _count(completion), longest, searches), pico


def _rest_of_total(reported: Reported, longest: int) -> int | None:
    """Some servers leave a completion out that is nothing but thinking."""
    rest = _count(reported.total_tokens) - _count(reported.prompt_tokens)
    return rest if 0 < rest <= longest else None


def _disjoint(reported: Reported, prompt: int, completion: int, longest: int, searches: int) -> Usage:
    inputs = reported.prompt_tokens_details or _NO_PROMPT
    outputs = reported.completion_tokens_details or _NO_COMPLETION
    tools = reported.server_tool_use_details or reported.server_tool_use
    made = searches if tools is None else _count(tools.web_search_requests)
    if _is_plain(reported, inputs, outputs, prompt + completion):
        return Usage(input=prompt, output=completion, web_searches=made)
    cached = _count(inputs.cached_tokens) or _count(reported.prompt_cache_hit_tokens)
    written, reasoned = _count(inputs.cache_write_tokens), _count(outputs.reasoning_tokens)

    # Servers differ in what their two counts leave out; the total tells.
    surplus = max(0, _count(reported.total_tokens) - prompt - completion)
    if surplus and surplus == cached + written:
        prompt += surplus
    elif surplus <= reasoned or completion + surplus <= longest:
        completion += surplus
        reasoned = max(reasoned, surplus)

    cached, rest = _take(cached, prompt)
    written, rest = _take(written, rest)
    heard, fresh = _take(_count(inputs.audio_tokens), rest)
    spoken, rest = _take(_count(outputs.audio_tokens), completion)
    drawn, rest = _take(_count(outputs.image_tokens), rest)
    reasoned, visible = _take(reasoned, rest)
    return Usage(
        input=fresh,
        cached_read=cached,
        cache_write=written,
        input_audio=heard,
        output=visible,
        reasoning=reasoned,
        output_audio=spoken,
        output_image=drawn,
        web_searches=made,
    )


def _is_plain(reported: Reported, inputs: _PromptDetails, outputs: _CompletionDetails, together: int) -> bool:
    """Two counts and nothing to tell apart within them, as in most answers."""
    return not (
        inputs.cached_tokens
        or inputs.cache_write_tokens
        or inputs.audio_tokens
        or outputs.reasoning_tokens
        or outputs.audio_tokens
        or outputs.image_tokens
        or reported.prompt_cache_hit_tokens
        or (reported.total_tokens or 0) > together
    )


def _count(value: Count) -> int:
    return max(0, int(value)) if value else 0


def _take(wanted: int, available: int) -> tuple[int, int]:
    """(what is taken, what is left)."""
    taken = min(wanted, available)
    return taken, available - taken
