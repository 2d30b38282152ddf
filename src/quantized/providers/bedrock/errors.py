"""What Bedrock says when it will not answer, to a fault: what the caller may read, what only the log may.

An error comes as an HTTP status with the name of an exception in a header or in the body, or as an exception
within a stream that began with a 200; there its name stands for the status. Messages quote what they were
sent, or what a model said, when they explain what is wrong with it: the log is told a sentence only where it
is about us, be it that we ask too much, or about which model we ask.
"""

import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.json import Decoder

from quantized.core.errors import Fault, ModelNotFound, ProviderUnavailable, RejectedByProvider
from quantized.providers.answers import UNREADABLE
from quantized.providers.cleaning import clean, reason_for_log, retry_after
from quantized.providers.field_paths import callers_words, first_field
from quantized.wire.aws_eventstream import Headers

_RETRYABLE = frozenset({408, 424, 429, 500, 502, 503, 504})
_OUR_ACCOUNT = frozenset({401, 402, 403, 407})
_CALLERS_INPUT = frozenset({400, 413, 415, 422})
_NOT_FOUND = 404
_BUSY = 429
_BROKEN = 500

_STATUS = {
    "accessdenied": 403,
    "accessdeniedexception": 403,
    "expiredtoken": 403,
    "expiredtokenexception": 403,
    "incompletesignature": 403,
    "incompletesignatureexception": 403,
    "internalfailure": 500,
    "internalserverexception": 500,
    "invalidclienttokenid": 403,
    "invalidsignatureexception": 403,
    "missingauthenticationtoken": 403,
    "missingauthenticationtokenexception": 403,
    "modelerrorexception": 424,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "notauthorized": 403,
    "optinrequired": 403,
    "requestexpired": 403,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 402,
    "serviceunavailable": 503,
    "serviceunavailableexception": 503,
    "signaturedoesnotmatch": 403,
    "throttlingexception": 429,
    "toomanyrequestsexception": 429,
    "unauthorizedexception": 401,
    "unrecognizedclientexception": 403,
    "validationexception": 400,
}
"""What the name of an exception amounts to, in lower case. The name says more than the status that it comes
with: bad credentials and spent quotas come with a 400 as well."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_UNKNOWN_MODEL = re.compile(
    r"model identifier is invalid|on-demand throughput isn.?t supported"
    r"|model (?:id|identifier|version|arn)\b.{0,200}?(?:invalid|not found|not supported|end of its life)"
    r"|model (?:that )?you provided|provided model (?:doesn.?t|does not|isn.?t|is not)(?! support\w* image)"
    r"|inference profile\b.{0,200}?(?:not found|invalid|does ?n.?t exist)"
    r"|model not found|could not resolve the foundation model",
    re.IGNORECASE | re.DOTALL,
)
_OUR_ACCOUNTS_WORDS = re.compile(
    r"\b(?:your|this) (?:aws )?(?:account|subscription|organi[sz]ation)\b|use case details|aws[- ]marketplace"
    r"|operation not allowed|payment.instrument|security token|have access to the model",
    re.IGNORECASE,
)
_ABOUT_A_MESSAGE = re.compile(r"#?/?messages?\b", re.IGNORECASE)
"""How a sentence begins that may quote the caller."""
_TOO_LONG = re.compile(
    r"input is too long|prompt is too long|input tokens exceeded|too many input tokens|maximum context length"
    r"|exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context (?:length|limit|window)",
    re.IGNORECASE,
)
_PER_DAY = re.compile(r"\bper day\b|\bdaily\b", re.IGNORECASE)
_SPENT_FOR_TODAY = re.compile(r"too many (?:tokens|requests) per day\b", re.IGNORECASE)
_PREFIX = re.compile(
    r"\s*(?:(?:the model returned the following errors?|validation ?error|malformed input request"
    r"|\d+ (?:validation errors? detected|schema violations? found))[:,]\s*)+",
    re.IGNORECASE,
)
_FIELD = re.compile(
    r"(?:value .{0,200}?\bat ')?(?:#/|the )?(?:inference_?config[./])?(max_?tokens|maximum tokens|temperature"
    r"|top_?p|top_?k|stop_?sequences|tool_?config|tool_?choice|tools|messages)\b",
    re.IGNORECASE | re.DOTALL,
)
_FIELDS = {
    "maxtokens": "max_tokens",
    "maximum tokens": "max_tokens",
    "temperature": "temperature",
    "topp": "top_p",
    "topk": "top_k",
    "stopsequences": "stop",
    "toolconfig": "tools",
    "toolchoice": "tool_choice",
    "tools": "tools",
    "messages": "messages",
}
"""Fields of theirs, and what callers know them by."""


class _Error(
    Struct,
    frozen=True,
    rename={"kind": "__type", "capital": "Message", "original": "originalMessage"},
):
    message: str | None = None
    capital: str | None = None
    original: str | None = None
    kind: str | None = None


class _Said(Struct, frozen=True):
    """One error, as told: the name of its exception, where it has one, and the sentence."""

    name: str
    message: str

    @property
    def status(self) -> int | None:
        return _STATUS.get(self.name.lower())

    @property
    def sentence(self) -> str:
        """The message without the words that only say that it is one."""
        return _PREFIX.sub("", self.message, count=1)


_decode = Decoder(_Error).decode


def fault_of_status(name: str, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The fault behind an HTTP status other than 200. Header names are lower-case."""
    said = _read(headers.get("x-amzn-errortype", ""), body)
    fault = _fault(said, said.status or status, None, f"{name}: HTTP {status}")
    if isinstance(fault, ProviderUnavailable):
        fault.retry_after = retry_after(headers)
    return fault


def fault_of_exception(name: str, model: str, headers: Headers, payload: bytes) -> Fault:
    """The fault behind a message of the type `exception` or `error` in a stream."""
    told = headers.get(":exception-type") or headers.get(":error-code") or ""
    said = _read(str(told), payload)
    if not said.message:
        said = _Said(said.name, str(headers.get(":error-message", "")))
    return _fault(said, said.status or 0, model, f"{name}: exception in the answer")


def _fault(said: _Said, status: int, model: str | None, where: str) -> Fault:
    cause = f"{where}, {said.name}" if said.name else where
    if status in _OUR_ACCOUNT or (status in {400, _NOT_FOUND} and _is_our_account(said)):
        return ProviderUnavailable(cause=_with_reason(cause, said), alert=True)
    if (status == _NOT_FOUND and said.status == _NOT_FOUND) or (
        status in {400, _NOT_FOUND} and _is_unknown_model(said)
    ):
        return ModelNotFound(model or "requested", cause=_with_reason(cause, said))
    if said.status == 400 and _SPENT_FOR_TODAY.match(said.sentence):
        # Told as an invalid request, but of nothing in it.
        return ProviderUnavailable(cause=_with_reason(cause, said), alert=True)
    if status in _CALLERS_INPUT:
        return _rejected(said, status, cause)
    retryable = status in _RETRYABLE
    if status == _BUSY:
        cause = _with_reason(cause, said)
    if status == _BUSY and _PER_DAY.search(said.message):
        # What is spent for today does not pass within a request.
        return ProviderUnavailable(cause=cause, alert=True)
    # What is left and not passing (a path that is not there, a redirect) is how we are set up.
    return ProviderUnavailable(
        cause=cause, retryable=retryable, alert=300 <= status < _BROKEN and not retryable
    )


def _is_our_account(said: _Said) -> bool:
    """An account that may not use a model, or has not paid, is told as an invalid request as well."""
    sentence = said.sentence
    return not _ABOUT_A_MESSAGE.match(sentence) and _OUR_ACCOUNTS_WORDS.search(sentence) is not None


def _is_unknown_model(said: _Said) -> bool:
    sentence = said.sentence
    return not _ABOUT_A_MESSAGE.match(sentence) and _UNKNOWN_MODEL.search(sentence) is not None


def _rejected(said: _Said, status: int, cause: str) -> RejectedByProvider:
    code = None
    if status == 413:
        code = "request_too_large"
    elif _TOO_LONG.search(said.sentence):
        code = "context_length_exceeded"
    field = _FIELD.match(said.sentence)
    param = _FIELDS[field[1].lower().replace("_", "")] if field else first_field(said.sentence)
    return RejectedByProvider(clean(callers_words(said.sentence)), param=param, code=code, cause=cause)


def _with_reason(cause: str, said: _Said) -> str:
    reason = reason_for_log(said.message)
    return f"{cause}: {reason}" if reason else cause


def _read(name: str, body: bytes) -> _Said:
    try:
        error = _decode(body.decode())
    except UNREADABLE:
        error = _Error()
    # A header adds where the name is explained, a body where it is defined.
    name = (name or error.kind or "").partition(":")[0].rpartition("#")[2]
    message = error.message or error.capital or error.original or ""
    return _Said(name if _NAME.fullmatch(name) else "", message)
