"""Identifiers: unique everywhere, and ordered by the time they were minted.

The time comes first so that rows land at the end of an index instead of all over it.
"""

import os

_BLOCK = 256
_drawn: list[str] = []
"""Random digits for ids to come. A call of the system for each would cost the event loop 1 µs."""

# What a parent drew must not be minted a second time by its child.
os.register_at_fork(after_in_child=_drawn.clear)


def mint_id(prefix: str, now_ms: int) -> str:
    """`prefix-` and 30 hexadecimal digits: 12 of Unix time in milliseconds, 18 (72 bits) of randomness."""
    try:
        random = _drawn.pop()
    except IndexError:
        digits = os.urandom(9 * _BLOCK).hex()
        _drawn.extend(digits[at : at + 18] for at in range(18, 18 * _BLOCK, 18))
        random = digits[:18]
    return f"{prefix}-{now_ms:012x}{random}"


def canonical_response_id(written: str) -> str:
    """A response's id as it is stored, `resp-…`. Other servers write `resp_…`, and so do clients that
    rebuild ids."""
    return f"resp-{written[5:]}" if written.startswith("resp_") else written
