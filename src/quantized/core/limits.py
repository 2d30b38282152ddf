"""What a licence may take at a time, and where it stands."""

from msgspec import Struct


class Limits(Struct, frozen=True):
    """Of one licence. None is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_requests: int | None = None
    output_tokens_per_request: int | None = None


NO_LIMITS = Limits()


class Gauge(Struct, frozen=True):
    """One limit by the minute: how many it allows, how many of them are left, and in how many milliseconds
    all of them would be."""

    limit: int
    remaining: int
    reset_ms: int


class Standing(Struct, frozen=True):
    """A licence's limits by the minute right after a request was let in or refused. None: it has no such
    limit."""

    requests: Gauge | None
    tokens: Gauge | None
