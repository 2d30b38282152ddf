"""Reported usage to the house's buckets. The API's input counts are disjoint already; `output_tokens` holds
the thinking."""

from msgspec import Struct
from msgspec.structs import replace

from quantized.core.usage import Usage
from quantized.providers.answers import Count, count


class _CacheCreation(Struct, frozen=True, gc=False):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _OutputDetails(Struct, frozen=True, gc=False):
    thinking_tokens: Count = None


class _ServerTools(Struct, frozen=True, gc=False):
    web_search_requests: Count = None


class Reported(Struct, frozen=True):
    """The `usage` object of a message or of a `message_delta`."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None


def merge(before: Reported | None, later: Reported) -> Reported:
    """Counts are cumulative: each that is told again replaces the earlier one, what is not told again
    stays."""
    if before is None:
        return later
    return Reported(
        input_tokens=_last(before.input_tokens, later.input_tokens),
        output_tokens=_last(before.output_tokens, later.output_tokens),
        cache_read_input_tokens=_last(before.cache_read_input_tokens, later.cache_read_input_tokens),
        cache_creation_input_tokens=_last(
            before.cache_creation_input_tokens, later.cache_creation_input_tokens
        ),
        cache_creation=later.cache_creation or before.cache_creation,
        output_tokens_details=later.output_tokens_details or before.output_tokens_details,
        server_tool_use=later.server_tool_use or before.server_tool_use,
    )


def read_usage(reported: Reported | None) -> Usage | None:
    """None where the input or the output was not counted: half a report is none."""
    counted = read_input(reported)
    if reported is None or counted is None or reported.output_tokens is None:
        return None
    details = reported.output_tokens_details
    output = count(reported.output_tokens)
    thought = min(output, count(details.thinking_tokens) if details else 0)
    return replace(counted, output=output - thought, reasoning=thought)


def read_input(reported: Reported | None) -> Usage | None:
    """The input and the searches alone; None where the input was not counted."""
    if reported is None or reported.input_tokens is None:
        return None
    short, long = _written(reported)
    tools = reported.server_tool_use
    return Usage(
        input=count(reported.input_tokens),
        cached_read=count(reported.cache_read_input_tokens),
        cache_write=short,
        cache_write_1h=long,
        web_searches=count(tools.web_search_requests) if tools else 0,
    )


def _written(reported: Reported) -> tuple[int, int]:
    """Tokens written to the cache for five minutes, and for an hour.

    The end of a stream counts them anew but does not break them down again. What was written since (a model
    that searches reads its own answer several times) went the way of what was written before: where that was
    for an hour alone, for an hour, else for five minutes.
    """
    split = reported.cache_creation or _CacheCreation()
    short, long = count(split.ephemeral_5m_input_tokens), count(split.ephemeral_1h_input_tokens)
    if reported.cache_creation_input_tokens is None:
        return short, long
    total = count(reported.cache_creation_input_tokens)
    if long and not short:
        return 0, total
    long = min(long, total)
    return total - long, long


def _last(before: int | None, later: int | None) -> int | None:
    return before if later is None else later
