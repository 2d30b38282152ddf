"""The one reader of the clock. Everybody else is given a `core.ports.Clock`."""

import time


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
