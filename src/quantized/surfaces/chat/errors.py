"""Faults to what a caller of chat completions is told: a status and OpenAI's error body.

The `type` and the usual `code` are OpenAI's words where it has one for the case.
"""

import math

from msgspec import UNSET, Struct
from msgspec.json import Encoder

from quantized.core.errors import (
    BodyTooLarge,
    Fault,
    InsufficientCredits,
    InvalidRequest,
    ModelNotFound,
    ModelNotPriced,
    RejectedByProvider,
    Unauthenticated,
    Unavailable,
    UnknownProvider,
    UnsupportedParameter,
)
from quantized.core.usage import Bill
from quantized.surfaces.chat.answers import Error, ErrorResponse, usage_of
from quantized.surfaces.surface import ErrorAnswer

_ENCODER = Encoder()


class _Kind(Struct, frozen=True):
    status: int
    type: str
    code: str | None = None
    """Where the fault names none."""


_KINDS: dict[type[Fault], _Kind] = {
    InvalidRequest: _Kind(400, "invalid_request_error"),
    BodyTooLarge: _Kind(413, "invalid_request_error", "request_too_large"),
    UnknownProvider: _Kind(400, "invalid_request_error", "unknown_provider"),
    UnsupportedParameter: _Kind(400, "invalid_request_error", "unsupported_parameter"),
    ModelNotPriced: _Kind(400, "invalid_request_error", "model_not_priced"),
    RejectedByProvider: _Kind(400, "invalid_request_error", "rejected_by_provider"),
    Unauthenticated: _Kind(401, "invalid_request_error", "invalid_api_key"),
    InsufficientCredits: _Kind(402, "insufficient_quota", "insufficient_credits"),
    ModelNotFound: _Kind(404, "invalid_request_error", "model_not_found"),
    Unavailable: _Kind(503, "server_error", "service_unavailable"),
}
"""By fault; one that is not here is told as the nearest class above it."""


def render_error(fault: Fault) -> ErrorAnswer:
    """`retry_after` is rounded up: to come back early would be in vain."""
    retry_after = fault.retry_after if isinstance(fault, Unavailable) else None
    return ErrorAnswer(
        status=_kind(fault).status,
        body=error_body(fault),
        retry_after=None if retry_after is None else max(0, math.ceil(retry_after)),
    )


def error_body(fault: Fault, bill: Bill | None = None) -> bytes:
    kind = _kind(fault)
    error = Error(fault.message, kind.type, fault.param, fault.code or kind.code)
    return _ENCODER.encode(ErrorResponse(error, UNSET if bill is None else usage_of(bill)))


def _kind(fault: Fault) -> _Kind:
    return next(_KINDS[ancestor] for ancestor in type(fault).__mro__ if ancestor in _KINDS)
