"""Where a licence stands with its limits by the minute, in the headers that OpenAI's clients read."""

from quantized.core.limits import Gauge, Standing
from quantized.http.messages import Headers

LIMIT_HEADERS = tuple(
    f"x-ratelimit-{part}-{of}" for of in ("requests", "tokens") for part in ("limit", "remaining", "reset")
)


def limit_headers(standing: Standing) -> Headers:
    """Those of the limits that there are."""
    return [*_told(b"requests", standing.requests), *_told(b"tokens", standing.tokens)]


def _told(of: bytes, gauge: Gauge | None) -> Headers:
    if gauge is None:
        return []
    return [
        (b"x-ratelimit-limit-" + of, b"%d" % gauge.limit),
        (b"x-ratelimit-remaining-" + of, b"%d" % gauge.remaining),
        (b"x-ratelimit-reset-" + of, duration(gauge.reset_ms).encode()),
    ]


def duration(milliseconds: int) -> str:
    """As OpenAI writes them: `20ms`, `1.5s`, `6m0s`, `1h0m0s`."""
    if 0 < milliseconds < 1_000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest // 1_000}.{rest % 1_000:03}".rstrip("0").rstrip(".") + "s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"
