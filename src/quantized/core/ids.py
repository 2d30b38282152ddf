"""Identifiers: unique everywhere, and ordered by the time they were minted.

The time comes first so that rows land at the end of an index instead of all over it.
"""

import os


def mint_id(prefix: str, now_ms: int) -> str:
    """`prefix-` and 30 hexadecimal digits: 12 of Unix time in milliseconds, 18 (72 bits) of randomness."""
    return f"{prefix}-{now_ms:012x}{os.urandom(9).hex()}"
