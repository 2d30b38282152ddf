"""API keys: `sk-quantized-` and 43 characters of randomness (256 bits). Only the digest is ever stored."""

import hashlib
import secrets

PREFIX = "sk-quantized-"

_SHOWN = len(PREFIX) + 6


def mint_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> bytes:
    """SHA-256 of the whole key. A key has too much entropy to be guessed, so a slow hash would protect
    nothing and cost every request."""
    return hashlib.sha256(key.encode()).digest()


def display_prefix(key: str) -> str:
    """What may be shown and stored of a key, so that people can tell theirs apart: `sk-quantized-AbCdEf`."""
    return key[:_SHOWN]
