"""What is told about one request, to the log and to whoever asks later."""

from msgspec import Struct

from quantized.core.errors import Fault, ProviderUnavailable
from quantized.core.usage import Usage


class Journal(Struct, omit_defaults=True):
    """One request's line, filled in as it walks through the rooms. Never a prompt, never a secret.

    Times: `started_at` is Unix milliseconds, the others are milliseconds since then.
    """

    request_id: str
    started_at: int
    surface: str
    status: int = 0
    license_id: str | None = None
    key_id: str | None = None
    user_id: str | None = None
    model: str | None = None
    provider: str | None = None
    stream: bool = False
    upstream_id: str | None = None
    tries: int = 0
    usage: Usage | None = None
    credits_used: int | None = None
    overrun: int = 0
    estimated: bool = False
    outcome: str | None = None
    error: str | None = None
    code: str | None = None
    cause: str | None = None
    alert: bool = False
    first_byte_ms: int | None = None
    total_ms: int | None = None

    def note_fault(self, fault: Fault) -> None:
        """What went wrong, and what only the log is told. The message is for the caller alone: it may quote
        what the caller wrote."""
        self.error = type(fault).__name__
        self.code = fault.code
        self.cause = fault.cause
        self.alert = isinstance(fault, ProviderUnavailable) and fault.alert
