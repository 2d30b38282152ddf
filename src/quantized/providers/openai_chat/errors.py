"""What a server says when it will not answer, to a fault: what the caller may read, what only the log may.

An error comes as an HTTP status with a body, as `error` inside a body or a frame that began with a 200, or as
`choices[0].error`. Its `code` may be a number or a word.

Servers quote what they were sent, and what their model said, when they explain what is wrong with it. So the
log is told the status and the words that name the error, and a sentence only where a server has not looked at
what it was asked: it does not know us, or we ask too much.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.json import decode, encode

from quantized.core.errors import Fault, ModelNotFound, ProviderUnavailable, RejectedByProvider
from quantized.providers.cleaning import clean, reason_for_log, retry_after
from quantized.providers.openai_chat.schema import UNREADABLE

_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_OUR_ACCOUNT = frozenset({401, 402, 403, 407})
_UNREAD = frozenset({401, 402, 407, 429})
"""What a server says before it reads a request."""
_CALLERS_INPUT = frozenset({400, 413, 415, 422})

_WORDS = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "insufficient_quota": 402,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "content_filter": 403,
    "content_policy_violation": 403,
    "overloaded_error": 529,
    "server_error": 502,
    "timeout": 408,
}
"""What a word in place of a status, in `code` or `type`, amounts to."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MODERATED = re.compile(r"moderat|flagged|content[ _]?(policy|filter)|safety|guideline", re.IGNORECASE)
_UNKNOWN_MODEL = re.compile(
    r"(not a valid model|model.{0,200}(not (be )?found|does ?n.t exist|does not exist|is unknown)"
    r"|(unknown|no such|invalid) model\b|no endpoints found for)",
    re.IGNORECASE | re.DOTALL,
)
_MODEL_ID = re.compile(r"[`'\"]([^`'\"\s]+)[`'\"]|([\w.-]+/[\w.:@-]*\w)|^(\S+) is not a valid model")
_PARAMETERS = re.compile(r"no endpoints found that (can handle|support)", re.IGNORECASE)


class _Said(Struct, frozen=True):
    """One error, as told. `status` is None where neither a number nor a known word was given."""

    message: str
    status: int | None
    code: str | None
    param: str | None
    moderated: bool
    sentence: str = ""
    """The server's own part of `message`, without details and what others said."""
    words: tuple[str, ...] = ()
    """What names the error: its code and its type, where they look like names."""


def fault_of_status(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The fault behind an HTTP status other than 200."""
    said = _read(body)
    return _fault(said, status, None, f"{provider}: HTTP {status}", retry_after(headers))


def fault_of_error(provider: str, model: str, error: bytes) -> Fault:
    """The fault behind an error object (JSON text) that came with a 200."""
    said = _read(error)
    return _fault(said, said.status or 0, model, f"{provider}: error in the answer", None)


def _fault(said: _Said, status: int, model: str | None, where: str, retry_after: float | None) -> Fault:
    cause = ", ".join((where, *said.words))
    if status in _UNREAD and (reason := reason_for_log(said.sentence)):
        cause = f"{cause}: {reason}"
    if status == 403 and (said.moderated or _MODERATED.search(said.message)):
        return _rejected(said, "content_filter", cause)
    if status in _OUR_ACCOUNT:
        return ProviderUnavailable(cause=cause, alert=True)
    if status in {400, 404} and _PARAMETERS.search(said.message):
        return _rejected(said, "unsupported_parameter", cause)
    if status in {400, 404} and (said.code == "model_not_found" or _UNKNOWN_MODEL.search(said.message)):
        return ModelNotFound(model or _model_in(said.message), cause=cause)
    if status in _CALLERS_INPUT:
        return _rejected(said, said.code, cause)
    retryable = status in _RETRYABLE
    # What is left and not passing (a path that is not there, a redirect) is how we are set up.
    return ProviderUnavailable(
        cause=cause, retry_after=retry_after, retryable=retryable, alert=300 <= status < 500 and not retryable
    )


def _model_in(message: str) -> str:
    """The model that a sentence is about; servers quote its id, or it is the word with the slash."""
    named = _MODEL_ID.search(message)
    return next(filter(None, named.groups()))[:200] if named else "requested"


def _rejected(said: _Said, code: str | None, cause: str) -> RejectedByProvider:
    return RejectedByProvider(clean(said.message), param=said.param, code=code, cause=cause)


def _read(body: bytes) -> _Said:
    try:
        error: Any = decode(body)
    except UNREADABLE:
        return _Said("", None, None, None, moderated=False)
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict) and error.get("error"):
        error = error["error"]
    if isinstance(error, str):
        return _Said(error, None, None, None, moderated=False, sentence=error)
    if not isinstance(error, dict):
        return _Said("", None, None, None, moderated=False)
    return _from_object(error)


def _from_object(error: dict[str, Any]) -> _Said:
    said, code, kind, param = (error.get(name) for name in ("message", "code", "type", "param"))
    metadata = error.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    sentence = said if isinstance(said, str) else ""
    message = _in_words(said) or _in_words(error.get("detail"))
    if reason := _reason_behind(metadata.get("raw")):
        message = f"{message}: {reason}" if message else reason
    return _Said(
        message=message,
        status=_status(code) or _status(kind) or _status(error.get("status")),
        code=code if isinstance(code, str) and _NAME.fullmatch(code) and not code.isdigit() else None,
        param=param if isinstance(param, str) and len(param) <= 100 else None,
        moderated="flagged_input" in metadata or "reasons" in metadata,
        sentence=sentence,
        words=tuple(
            f"{name} {word}"
            for name, word in (("code", code), ("type", kind))
            if isinstance(word, str | int) and _NAME.fullmatch(str(word))
        ),
    )


def _in_words(said: Any) -> str:
    """A reason, which may be an object with the reason in it, or a list of faults with their places."""
    reason = (said.get("message") or said.get("detail")) if isinstance(said, dict) else said
    if isinstance(reason, str):
        return reason
    if isinstance(reason, list) and (faults := list(filter(None, map(_fault_at_its_place, reason)))):
        return "; ".join(faults)
    try:
        return encode(said).decode() if isinstance(said, dict | list) and said else ""
    except RecursionError:
        # It is nested as deeply as can be read, and this is a call further down.
        return ""


def _fault_at_its_place(fault: Any) -> str:
    message = fault.get("msg") if isinstance(fault, dict) else None
    if not isinstance(message, str):
        return ""
    place = fault.get("loc")
    steps = place[1:] if isinstance(place, list) and place[:1] == ["body"] else place
    path = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}"
        for step in (steps if isinstance(steps, list) else ())
    )
    return f"{path.removeprefix('.')}: {message}" if path else message


def _reason_behind(raw: Any) -> str:
    """A router hands on what the server behind it said, as JSON text in `metadata.raw`."""
    if not isinstance(raw, str):
        return ""
    try:
        inner = decode(raw)
    except UNREADABLE:
        return raw
    if isinstance(inner, dict) and isinstance(inner.get("error"), dict):
        inner = inner["error"]
    message = inner.get("message") if isinstance(inner, dict) else None
    return message if isinstance(message, str) else ""


def _status(code: Any) -> int | None:
    if isinstance(code, bool):
        return None
    if isinstance(code, int):
        return code if 300 <= code < 600 else None
    if isinstance(code, str):
        return int(code) if code.isdigit() and len(code) == 3 else _WORDS.get(code.lower())
    return None
