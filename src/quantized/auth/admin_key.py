"""Admin keys: `sk-quantized-admin-` and 43 characters of randomness (256 bits). Never accepted as an API
key, nor an API key as one of them: each is only looked for among its own."""

import secrets

PREFIX = "sk-quantized-admin-"

_SHOWN = len(PREFIX) + 6


def mint_admin_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def display_prefix(key: str) -> str:
    """What may be shown and stored of a key: `sk-quantized-admin-AbCdEf`."""
    return key[:_SHOWN]
