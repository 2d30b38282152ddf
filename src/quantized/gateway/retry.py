"""When another try is worth it, and how long to wait before it. Only ever before the first byte."""

from msgspec import Struct

from quantized.core.errors import Fault, ProviderUnavailable


class RetryPolicy(Struct, frozen=True):
    """`attempts` further tries after the first. A provider that asks for more than `longest_wait` seconds is
    not waited for: the caller is told to come back instead."""

    attempts: int
    longest_wait: float
    first_wait: float = 0.25

    def wait(self, fault: Fault, tries: int) -> float | None:
        """Seconds to wait after `tries` tries that ended in `fault`; None to give up."""
        if not isinstance(fault, ProviderUnavailable) or not fault.retryable or tries > self.attempts:
            return None
        if fault.retry_after is not None:
            return fault.retry_after if fault.retry_after <= self.longest_wait else None
        return min(self.first_wait * float(2 ** (tries - 1)), self.longest_wait)
