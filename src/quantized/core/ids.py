"""Identifiers: unique everywhere, and ordered by the time they were minted.

The time comes first so that rows land at the end of an index instead of all over it.
"""

import os


def mint_id(prefix: str, now_ms: int) -> str:
    """`prefix-` and 30 hexadecimal digits: 12 of Unix time in milliseconds, 18 (72 bits) of randomness."""
    return f"{prefix}-{now_ms:012x}{os.urandom(9).hex()}"


def canonical_response_id(written: str) -> str:
    """A response's id as it is stored, `resp-…`. Other servers write `resp_…`, and so do clients that
    rebuild ids."""
    return f"resp-{written[5:]}" if written.startswith("resp_") else written
