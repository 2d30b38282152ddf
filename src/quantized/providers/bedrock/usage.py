"""Reported usage to the house's buckets. Converse counts what was read from a cache and what was written to
one beside `inputTokens`, not in it; `outputTokens` holds the reasoning."""

from msgspec import Struct

from quantized.core.usage import Usage
from quantized.providers.answers import Count, count


class _CacheDetail(Struct, frozen=True, gc=False, rename="camel"):
    ttl: str | None = None
    input_tokens: Count = None


class Reported(Struct, frozen=True, rename="camel"):
    """The `usage` of an answer."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_write_input_tokens: Count = None
    cache_details: tuple[_CacheDetail, ...] | None = None


def read_usage(reported: Reported | None) -> Usage | None:
    """None where the input or the output was not counted: half a report is none."""
    if reported is None or reported.input_tokens is None or reported.output_tokens is None:
        return None
    short, long = _written(reported)
    return Usage(
        input=count(reported.input_tokens),
        cached_read=count(reported.cache_read_input_tokens),
        cache_write=short,
        cache_write_1h=long,
        output=count(reported.output_tokens),
    )


def _written(reported: Reported) -> tuple[int, int]:
    """Tokens written to the cache for five minutes, the common kind, and for an hour. The total wins over its
    details."""
    by_ttl = {"5m": 0, "1h": 0}
    for detail in reported.cache_details or ():
        if detail.ttl in by_ttl:
            by_ttl[detail.ttl] += count(detail.input_tokens)
    if reported.cache_write_input_tokens is None:
        return by_ttl["5m"], by_ttl["1h"]
    total = count(reported.cache_write_input_tokens)
    long = min(by_ttl["1h"], total)
    return total - long, long
