"""The arithmetic of limits by the minute: one bucket for each, that drains as time passes.

A bucket has room for as many as may come in a minute. What is in it (`owed`) drains at the rate of the limit
and is counted in `MINUTE_MS`-ths, so that a millisecond drains exactly as many of these as the limit says and
nothing is ever rounded. So in any t minutes no more than limit * (t + 1) come in. More may be owed than there
is room for, where more was used than anybody could know before: nothing comes in until that has drained.
"""

from msgspec import Struct

from quantized.core.limits import Gauge, Limits, Standing
from quantized.storage.records import LicenseRow

MINUTE_MS = 60_000

AHEAD_MS = 10_000
"""A time that lies further in the future was written by a clock that was wrong."""

MOST_OWED = 2**60
"""So that whatever a provider claims to have used, the database's integers of 64 bits take it."""


class Meters(Struct):
    """What a licence's buckets have at one moment. None: there is no such limit."""

    requests: int | None
    tokens: int | None


def meters(row: LicenseRow, limits: Limits, now_ms: int) -> Meters:
    """As they are now. A clock that is a little behind the one that wrote them drains nothing; where it
    cannot be known when they were written, all has drained."""
    ahead = row.metered_at - now_ms
    passed = max(0, -ahead) if ahead <= AHEAD_MS else MOST_OWED
    return Meters(
        requests=_drained(row.requests_owed, limits.requests_per_minute, passed),
        tokens=_drained(row.tokens_owed, limits.tokens_per_minute, passed),
    )


def metered_at(row: LicenseRow, now_ms: int) -> int:
    """The time of what is drained now: never earlier than what it was, unless that cannot have been."""
    return max(row.metered_at, now_ms) if row.metered_at <= now_ms + AHEAD_MS else now_ms


def owing(owed: int, count: int) -> int:
    """With so many more in the bucket; with less where `count` is below zero, but never below empty."""
    return min(max(0, owed + count * MINUTE_MS), MOST_OWED)


def wait_ms(owed: int, limit: int, count: int) -> int:
    """Until there is room for `count`: 0 where there is now. For more than there ever is, until all drained
    at least."""
    over = owed + min(count, limit) * MINUTE_MS - limit * MINUTE_MS
    return max(0, -(-over // limit))


def standing(state: Meters, limits: Limits) -> Standing | None:
    """None where nothing is limited by the minute."""
    if state.requests is None and state.tokens is None:
        return None
    return Standing(
        _gauge(state.requests, limits.requests_per_minute), _gauge(state.tokens, limits.tokens_per_minute)
    )


def _drained(owed: int, limit: int | None, passed_ms: int) -> int | None:
    return None if limit is None else max(0, owed - limit * passed_ms)


def _gauge(owed: int | None, limit: int | None) -> Gauge | None:
    if owed is None or limit is None:
        return None
    return Gauge(limit, max(0, limit + -owed // MINUTE_MS), -(-owed // limit))
