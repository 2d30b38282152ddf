"""Buckets that drain: never more than the limit says, never refused for longer than was told."""

from hypothesis import given
from hypothesis import strategies as st

from quantized.core.limits import Gauge, Limits, Standing
from quantized.ledger.meters import (
    AHEAD_MS,
    MINUTE_MS,
    MOST_OWED,
    metered_at,
    meters,
    owing,
    standing,
    wait_ms,
)
from quantized.storage.records import LicenseRow

LIMITS = st.integers(1, 2**31 - 1)


def row(requests: int = 0, tokens: int = 0, at: int = 0) -> LicenseRow:
    return LicenseRow("l", False, True, 0, 0, 0, 0, "", 0, requests, tokens, at)


@given(
    limit=st.integers(1, 50),
    pauses=st.lists(st.integers(0, 40_000), min_size=1, max_size=120),
    counts=st.lists(st.integers(1, 50), min_size=120, max_size=120),
)
def test_no_more_come_in_than_a_full_bucket_and_what_has_drained(
    limit: int, pauses: list[int], counts: list[int]
) -> None:
    owed = now = came = 0
    for pause, wanted in zip(pauses, counts, strict=False):
        count = min(wanted, limit)
        now += pause
        state = meters(row(tokens=owed, at=now - pause), Limits(tokens_per_minute=limit), now)
        assert state.tokens is not None
        if not wait_ms(state.tokens, limit, count):
            came += count
            state.tokens = owing(state.tokens, count)
        owed = state.tokens
        assert came * MINUTE_MS <= limit * (MINUTE_MS + now)


@given(limit=LIMITS, owed=st.integers(0, 2**50), count=st.integers(1, 2**31 - 1))
def test_who_waits_as_told_comes_in_and_who_does_not_is_refused(limit: int, owed: int, count: int) -> None:
    count = min(count, limit)
    wait = wait_ms(owed, limit, count)
    limits = Limits(tokens_per_minute=limit)

    def fits_after(waited: int) -> bool:
        tokens = meters(row(tokens=owed), limits, waited).tokens
        return tokens is not None and wait_ms(tokens, limit, count) == 0

    assert fits_after(wait)
    assert wait == 0 or not fits_after(wait - 1)


@given(limit=LIMITS, owed=st.integers(0, 2**50))
def test_where_it_stands_is_what_comes_in(limit: int, owed: int) -> None:
    told = standing(meters(row(requests=owed), Limits(limit), 0), Limits(limit))
    assert told is not None and told.tokens is None and told.requests is not None
    remaining = told.requests.remaining
    assert remaining == 0 or wait_ms(owed, limit, remaining) == 0
    assert remaining == limit or wait_ms(owed, limit, remaining + 1) > 0
    drained = meters(row(requests=owed), Limits(limit), told.requests.reset_ms)
    assert drained.requests == 0


def test_a_full_bucket_a_half_one_and_none() -> None:
    limits = Limits(requests_per_minute=6, tokens_per_minute=600)
    state = meters(row(3 * MINUTE_MS, 0, 1_000), limits, 1_000)
    assert standing(state, limits) == Standing(Gauge(6, 3, 30_000), Gauge(600, 600, 0))
    assert standing(meters(row(1, 1), Limits(), 0), Limits(parallel_requests=1)) is None


def test_a_clock_that_is_behind_drains_nothing() -> None:
    limits = Limits(requests_per_minute=6)
    assert meters(row(7, 0, 5_000), limits, 1_000).requests == 7


def test_a_time_that_cannot_have_been_locks_nobody_out() -> None:
    limits = Limits(requests_per_minute=6)
    wrong = row(6 * MINUTE_MS, 0, 35 * MINUTE_MS)
    assert meters(wrong, limits, 0).requests == 0
    assert metered_at(wrong, 0) == 0
    assert metered_at(row(at=AHEAD_MS), 0) == AHEAD_MS
    assert metered_at(row(at=5), 7) == 7


def test_what_a_provider_claims_stays_within_what_a_database_counts() -> None:
    assert owing(0, 2**60) == MOST_OWED
    assert owing(MOST_OWED, 1) == MOST_OWED
    assert owing(5, -1) == 0
