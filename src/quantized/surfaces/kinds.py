"""What every surface tells of a fault alike: the status, and OpenAI's words for its type and usual code."""

import math
from collections.abc import Mapping

from msgspec import Struct

from quantized.core.errors import (
    BodyTooLarge,
    Fault,
    ImageNotFetched,
    InsufficientCredits,
    InvalidRequest,
    ModelNotFound,
    ModelNotPriced,
    RateLimited,
    RejectedByProvider,
    Unauthenticated,
    Unavailable,
    UnknownProvider,
    UnsupportedParameter,
)


class Kind(Struct, frozen=True):
    status: int
    type: str
    code: str | None = None
    """Where the fault names none."""


Kinds = Mapping[type[Fault], Kind]

KINDS: Kinds = {
    InvalidRequest: Kind(400, "invalid_request_error"),
    BodyTooLarge: Kind(413, "invalid_request_error", "request_too_large"),
    UnknownProvider: Kind(400, "invalid_request_error", "unknown_provider"),
    UnsupportedParameter: Kind(400, "invalid_request_error", "unsupported_parameter"),
    ImageNotFetched: Kind(400, "invalid_request_error", "invalid_image_url"),
    ModelNotPriced: Kind(400, "invalid_request_error", "model_not_priced"),
    RejectedByProvider: Kind(400, "invalid_request_error", "rejected_by_provider"),
    Unauthenticated: Kind(401, "invalid_request_error", "invalid_api_key"),
    InsufficientCredits: Kind(402, "insufficient_quota", "insufficient_credits"),
    ModelNotFound: Kind(404, "invalid_request_error", "model_not_found"),
    RateLimited: Kind(429, "rate_limit_error", "rate_limit_exceeded"),
    Unavailable: Kind(503, "server_error", "service_unavailable"),
}
"""By fault. A surface adds what it tells otherwise."""


def kind_of(fault: Fault, kinds: Kinds = KINDS) -> Kind:
    """A fault that is not among them is told as the nearest class above it."""
    return next(kinds[ancestor] for ancestor in type(fault).__mro__ if ancestor in kinds)


def retry_after(fault: Fault) -> int | None:
    """Whole seconds, rounded up: to come back early would be in vain."""
    seconds = fault.retry_after if isinstance(fault, Unavailable | RateLimited) else None
    return None if seconds is None else max(0, math.ceil(seconds))
