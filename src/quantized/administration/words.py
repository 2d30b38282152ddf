"""The kinds of values that administrators write, each as strict as on the command line."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from quantized.administration.faults import Unfit

_END = r"$(?!\n)"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"

Reference = Annotated[
    str,
    Meta(
        pattern=rf"^[!-~]{{1,200}}{_END}",
        description="An id, or an alias: of a licence its unique id, of a key the shown prefix, of a licence "
        "type also `institution/alias`. To read, the beginning of an id is enough where only one begins so.",
    ),
]
PathReference = Annotated[
    str,
    Meta(pattern=rf"^[!-.0-~]{{1,200}}{_END}", description="An id, or an alias without a slash."),
]
Alias = Annotated[str, Meta(pattern=rf"^[a-z0-9][a-z0-9._-]{{0,63}}{_END}")]
Name = Annotated[str, Meta(pattern=rf"^[^\x00-\x1f\x7f-\x9f]{{1,200}}{_END}")]
UniqueId = Annotated[str, Meta(pattern=rf"^[!-~]{{1,200}}{_END}")]
Pem = Annotated[str, Meta(min_length=1, max_length=4_096)]
ModelPattern = Annotated[str, Meta(pattern=rf"^[!-~]{{1,200}}{_END}")]
ModelPatterns = Annotated[tuple[ModelPattern, ...], Meta(min_length=1, max_length=200)]
Moment = Annotated[
    str,
    Meta(
        pattern=rf"^{_TIME}{_END}",
        description="RFC 3339 with its zone, such as 2026-01-31T12:00:00Z.",
    ),
]
MomentOrDay = Annotated[
    str,
    Meta(
        pattern=rf"^({_TIME}|{_DATE}){_END}",
        description="RFC 3339 with its zone, or a day, which means its beginning (UTC).",
    ),
]
MicroCredits = Annotated[int, Meta(ge=1, le=10**15)]
SignedMicroCredits = Annotated[
    int, Meta(ge=-(10**15), le=10**15, description="Below zero takes credits away.")
]
Markup = Annotated[
    int,
    Meta(ge=1, le=1_000_000, description="A factor on every catalogue rate, in basis points: 12000 is 1.2."),
]
Rate = Annotated[int, Meta(ge=0, le=10**16)]
RetentionDays = Annotated[int, Meta(ge=0, le=36_500, description="0 is for ever.")]
ProviderPattern = Annotated[str, Meta(pattern=rf"^[a-z0-9_.*?-]{{1,64}}{_END}")]
ProviderPatterns = Annotated[tuple[ProviderPattern, ...], Meta(min_length=1, max_length=50)]
Allowance = Annotated[
    int, Meta(ge=0, le=10**15, description="What one user may use of a licence at most; 0 is nothing.")
]
Limit = Annotated[int, Meta(ge=1, le=2**31 - 1)]
PageSize = Annotated[int, Meta(ge=1, le=200)]
Cursor = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9_-]{{1,1500}}{_END}", description="`next_cursor` of a page.")
]
LONGEST_GRACE = 30 * 86_400
GraceSeconds = Annotated[
    int, Meta(ge=0, le=LONGEST_GRACE, description="For how long the old one works on; 0 stops it at once.")
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rates(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of one model, in micro-credits per million tokens (requests, searches). What is left out stays the
    catalogue's."""

    input: Rate | None = None
    cached_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    input_audio: Rate | None = None
    output: Rate | None = None
    reasoning: Rate | None = None
    output_audio: Rate | None = None
    output_image: Rate | None = None
    request: Rate | None = None
    web_search: Rate | None = None


OverridesByModel = Annotated[dict[ModelPattern, Rates], Meta(max_length=1_000)]


class TypeLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Of each licence of a type. null is no limit."""

    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    parallel_requests: Limit | None = None
    output_tokens_per_request: Limit | None = None


def unix_ms(moment: str, param: str) -> int:
    """Raises Unfit for what only looks like a moment."""
    try:
        read = datetime.fromisoformat(moment)
        return ((read if read.tzinfo else read.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise Unfit(param, "there is no such moment") from error


def in_future(moment: str | None, now: int, param: str) -> int | None:
    """As Unix milliseconds. Raises Unfit where it has passed."""
    if moment is None:
        return None
    at = unix_ms(moment, param)
    if at <= now:
        raise Unfit(param, "that is in the past")
    return at


def iso_time(at: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC."""
    try:
        moment = _EPOCH + timedelta(milliseconds=at)
    except OverflowError:
        return "9999-12-31T23:59:59.999Z"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1_000:03}Z"
