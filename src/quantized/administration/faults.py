"""Why an act is refused, for the administrator who asked. `administration.answers` gives each its status."""

from quantized.core.errors import Fault, InvalidRequest


class NotThere(Fault):
    """There is none, or it is another institution's: nobody is told which."""

    def __init__(self, what: str, reference: str, *, param: str | None = None) -> None:
        super().__init__(f"There is no {what} '{reference[:200]}'.", param=param, code="not_found")
        self.what = what
        self.reference = reference


class Ambiguous(Fault):
    def __init__(self, what: str, reference: str, candidates: list[str], *, param: str | None = None) -> None:
        super().__init__(
            f"More than one {what} is called '{reference[:200]}': {', '.join(candidates)}.",
            param=param,
            code="ambiguous_reference",
        )


class Forbidden(Fault):
    """The role does not allow it."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param, code="forbidden")


class Conflict(Fault):
    """It does not fit what is there. `code` says in which way."""


class IdempotencyMismatch(Fault):
    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used with another request in the last 24 hours; "
            "take a new one for each thing that you want done.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )


class InvalidAdminKey(Fault):
    def __init__(self, *, cause: str) -> None:
        super().__init__("Invalid admin key", code="invalid_admin_key", cause=cause)


class TooManyRequests(Fault):
    def __init__(self, *, cause: str) -> None:
        super().__init__(
            "Too many requests at once; try again in a second", code="too_many_requests", cause=cause
        )


class Unfit(InvalidRequest):
    """A value that is of its type and still cannot be meant."""

    def __init__(self, param: str, why: str) -> None:
        super().__init__(f"Invalid value for '{param}': {why}.", param=param, code="invalid_value")
