"""Faults to what an administrator is told: a status and the error body that all of the API has."""

from collections.abc import Mapping

from msgspec import Struct, json

from quantized.administration import faults
from quantized.core.errors import BodyTooLarge, Fault, InvalidRequest, Unavailable


class Kind(Struct, frozen=True):
    status: int
    type: str = "invalid_request_error"
    headers: Mapping[str, str] = {}


_AGAIN = {"retry-after": "1"}
KINDS: Mapping[type[Fault], Kind] = {
    InvalidRequest: Kind(400),
    BodyTooLarge: Kind(413),
    faults.InvalidAdminKey: Kind(401, headers={"www-authenticate": "Bearer"}),
    faults.Forbidden: Kind(403),
    faults.NotThere: Kind(404),
    faults.Ambiguous: Kind(409),
    faults.Conflict: Kind(409),
    faults.IdempotencyMismatch: Kind(422),
    faults.TooManyRequests: Kind(429, "rate_limit_error", _AGAIN),
    Unavailable: Kind(503, "server_error", _AGAIN),
}
"""By fault; one that is not among them is told as the nearest class above it."""


class Error(Struct):
    message: str
    type: str
    code: str | None
    param: str | None


class ErrorBody(Struct):
    error: Error


def kind_of(fault: Fault) -> Kind:
    return next(KINDS[ancestor] for ancestor in type(fault).__mro__ if ancestor in KINDS)


def error_body(fault: Fault) -> bytes:
    return json.encode(ErrorBody(Error(fault.message, kind_of(fault).type, fault.code, fault.param)))
