"""What the Messages API says when it will not answer, to a fault: what the caller may read, what only the log
may.

An error comes as an HTTP status with a body, or as an `error` event in a stream that began with a 200; there
its `type` stands for the status. Messages quote what they were sent when they explain what is wrong with it:
the log is told a sentence only where it is about us, be it that we ask too much.
"""

import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.json import Decoder

from quantized.core.errors import Fault, ModelNotFound, ProviderUnavailable, RejectedByProvider
from quantized.providers.answers import UNREADABLE
from quantized.providers.cleaning import clean, reason_for_log, retry_after
from quantized.providers.field_paths import callers_words, first_field

_RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_OUR_ACCOUNT = frozenset({401, 402, 403, 407})
_CALLERS_INPUT = frozenset({400, 413, 415, 422})
_NOT_FOUND = 404
_BUSY = 429
_BROKEN = 500

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status that a type of error has outside of a stream."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MODEL = re.compile(r"\s*model:\s*(\S+)|.*\bmodel\b.{0,200}?\b(?:not found|does not exist)", re.DOTALL)
_TOO_LONG = re.compile(r"prompt is too long|exceed(?:s|ed)? (?:the )?context (?:limit|window)", re.IGNORECASE)
_OUR_ACCOUNTS_CODE = re.compile(r"spend_limit|billing|organization|cmek|not_enrolled|quota")
_OUR_ACCOUNTS_WORDS = re.compile(
    r"credit balance|purchase credits|plans & billing|api usage limits|spend(?:ing)? limit"
    r"|\b(?:your|this) (?:organi[sz]ation|account|workspace|plan|api key)\b|\banthropic-(?:version|beta)\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"[a-z_]+(?:\.\w+)*: ")
"""How a sentence about the request begins. What follows may quote the caller."""


class _Details(Struct, frozen=True):
    error_code: str | None = None


class _Error(Struct, frozen=True):
    type: str | None = None
    message: str | None = None
    details: _Details | None = None


class _Response(Struct, frozen=True):
    error: _Error | None = None


class _Said(Struct, frozen=True):
    """One error, as told."""

    message: str = ""
    type: str = ""
    code: str = ""

    @property
    def words(self) -> list[str]:
        """What names the error: its type and its code, where they look like names."""
        named = (("type", self.type), ("code", self.code))
        return [f"{name} {word}" for name, word in named if _NAME.fullmatch(word)]


_decode = Decoder(_Response).decode


def fault_of_status(name: str, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The fault behind an HTTP status other than 200. Header names are lower-case."""
    fault = _fault(_read(body), status, None, f"{name}: HTTP {status}")
    if isinstance(fault, ProviderUnavailable):
        fault.retry_after = retry_after(headers)
        if headers.get("x-should-retry") == "false":
            # The server knows better what will pass: a spent limit, say, is a 429 as well.
            fault.retryable = False
    return fault


def fault_of_error(name: str, model: str, error: bytes) -> Fault:
    """The fault behind an `error` event, or a body of that kind, that came with a 200."""
    said = _read(error)
    return _fault(said, _STATUS.get(said.type, 0), model, f"{name}: error in the answer")


def _fault(said: _Said, status: int, model: str | None, where: str) -> Fault:
    cause = ", ".join((where, *said.words))
    if status in _OUR_ACCOUNT or _is_our_account(said, status):
        return ProviderUnavailable(cause=_with_reason(cause, said), alert=True)
    if status == _NOT_FOUND and (named := _MODEL.match(said.message)):
        return ModelNotFound(model or (named[1] or "requested")[:200], cause=cause)
    if status in _CALLERS_INPUT:
        return _rejected(said, status, cause)
    retryable = status in _RETRYABLE
    if status == _BUSY:
        cause = _with_reason(cause, said)
    # What is left and not passing (a path that is not there, a redirect) is how we are set up.
    return ProviderUnavailable(
        cause=cause, retryable=retryable, alert=300 <= status < _BROKEN and not retryable
    )


def _is_our_account(said: _Said, status: int) -> bool:
    """An account without credit, or one that was disabled, is told as an invalid request; a spent budget as
    one request too many."""
    if status not in {400, 404, _BUSY}:
        return False
    if said.type == "billing_error" or _OUR_ACCOUNTS_CODE.search(said.code):
        return True
    if status == _BUSY or _PATH.match(said.message):
        return False
    return _OUR_ACCOUNTS_WORDS.search(said.message) is not None


def _rejected(said: _Said, status: int, cause: str) -> RejectedByProvider:
    code = None
    if status == 413:
        code = "request_too_large"
    elif _TOO_LONG.search(said.message):
        code = "context_length_exceeded"
    return RejectedByProvider(
        clean(callers_words(said.message)), param=first_field(said.message), code=code, cause=cause
    )


def _with_reason(cause: str, said: _Said) -> str:
    reason = reason_for_log(said.message)
    return f"{cause}: {reason}" if reason else cause


def _read(body: bytes) -> _Said:
    try:
        error = _decode(body.decode()).error
    except UNREADABLE:
        return _Said()
    if error is None:
        return _Said()
    code = error.details.error_code if error.details else None
    return _Said(error.message or "", error.type or "", code or "")
