"""Everything that can go wrong with a request, by meaning. No HTTP status here: the surface gives one.

Fault
├── InvalidRequest            the caller's own words are at fault
│   ├── MalformedBody         not JSON, not UTF-8, nested too deeply
│   ├── BodyTooLarge
│   ├── UnknownField
│   ├── MissingField
│   ├── InvalidValue          wrong type or out of range
│   ├── UnknownProvider       the provider header names none that could serve
│   ├── UnsupportedParameter  the chosen provider or model cannot honour it
│   │   └── AboveLimit        the licence never lets one request take that much
│   ├── ImageNotFetched       an image was given by its URL, and could not be had from there
│   ├── ModelNotPriced
│   ├── NotStored             nothing of this licence is stored, so nothing can be continued
│   ├── ConversationTooLong
│   └── RejectedByProvider    a provider's word about the caller's own input, cleaned
├── Unauthenticated
├── InsufficientCredits
│   └── AllowanceExhausted    the licence has credits, but not for this user
├── RateLimited               the licence's limits let it in later
├── ModelNotFound
├── ResponseNotFound
├── AnswerAbandoned           the caller left before its answer was complete
└── Unavailable               nothing the caller did
    ├── ProviderUnavailable
    └── LedgerUnavailable
"""

from quantized.core.limits import Standing


class Fault(Exception):
    """`message` may reach the caller. `cause` never does: it is for the log."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, cause: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.cause = cause


class InvalidRequest(Fault):
    pass


class MalformedBody(InvalidRequest):
    pass


class BodyTooLarge(InvalidRequest):
    pass


class UnknownField(InvalidRequest):
    pass


class MissingField(InvalidRequest):
    pass


class InvalidValue(InvalidRequest):
    pass


class UnknownProvider(InvalidRequest):
    pass


class UnsupportedParameter(InvalidRequest):
    pass


class AboveLimit(UnsupportedParameter):
    pass


class ImageNotFetched(InvalidRequest):
    pass


class ModelNotPriced(InvalidRequest):
    pass


class NotStored(InvalidRequest):
    pass


class ConversationTooLong(InvalidRequest):
    pass


class RejectedByProvider(InvalidRequest):
    pass


class Unauthenticated(Fault):
    def __init__(self, *, cause: str | None = None) -> None:
        super().__init__("Invalid API key", code="invalid_api_key", cause=cause)


class InsufficientCredits(Fault):
    """`standing` as in `RateLimited`."""

    def __init__(
        self,
        message: str = "Insufficient credits",
        *,
        code: str = "insufficient_credits",
        cause: str | None = None,
        standing: Standing | None = None,
    ) -> None:
        super().__init__(message, code=code, cause=cause)
        self.standing = standing


class AllowanceExhausted(InsufficientCredits):
    def __init__(self, *, cause: str | None = None, standing: Standing | None = None) -> None:
        super().__init__(
            "Insufficient credits: what is left of your own allowance within this licence does not pay for "
            "this request",
            code="user_allowance_exhausted",
            cause=cause,
            standing=standing,
        )


class RateLimited(Fault):
    """`retry_after` in seconds: when it would be let in if nothing else comes. `standing`: where the licence
    stands, None where nothing is limited by the minute."""

    def __init__(
        self, message: str, *, retry_after: float, standing: Standing | None, cause: str | None = None
    ) -> None:
        super().__init__(message, code="rate_limit_exceeded", cause=cause)
        self.retry_after = retry_after
        self.standing = standing


class ModelNotFound(Fault):
    def __init__(self, model: str, *, cause: str | None = None) -> None:
        super().__init__(f"Model '{model}' not found", param="model", code="model_not_found", cause=cause)


class ResponseNotFound(Fault):
    def __init__(self, response_id: str, *, param: str | None = None, cause: str | None = None) -> None:
        super().__init__(
            f"Response '{response_id[:128]}' not found", param=param, code="response_not_found", cause=cause
        )


class AnswerAbandoned(Fault):
    """Told to whoever reads later what was left."""

    def __init__(self, *, cause: str) -> None:
        super().__init__(
            "The connection was closed before the answer was complete", code="abandoned", cause=cause
        )


class Unavailable(Fault):
    """`retry_after` is in seconds, where somebody told us when to come back."""

    def __init__(self, *, cause: str, retry_after: float | None = None) -> None:
        super().__init__("Service temporarily unavailable", code="service_unavailable", cause=cause)
        self.retry_after = retry_after


class ProviderUnavailable(Unavailable):
    """`retryable`: another try before the first byte may succeed. `alert`: our own account or
    configuration at the provider is at fault, and an operator should look."""

    def __init__(
        self, *, cause: str, retry_after: float | None = None, retryable: bool = False, alert: bool = False
    ) -> None:
        super().__init__(cause=cause, retry_after=retry_after)
        self.retryable = retryable
        self.alert = alert


class LedgerUnavailable(Unavailable):
    pass
