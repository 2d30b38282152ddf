"""What there is to set, and how each of it is judged. `quantized.toml.example` says what it all means."""

import re
from collections.abc import Mapping

from quantized import settings_values as values
from quantized.core.ports import Override
from quantized.settings_values import Kind

_DAY = 86_400

PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MODEL_ID = re.compile(r"[!-~]{1,200}")
# A key is sent as a header; what is not printable ASCII would break it there.
API_KEY = re.compile(r"[!-~]{1,8192}")

_name = values.text("a provider's name", PROVIDER_NAME.pattern)

# The file's rates read like a provider's price list: credits per million tokens, and credits for one request
# or one search. Kept are micro-credits per million of each.
_PER_MILLION = values.scaled(
    "credits per million tokens, from 0 to 1000000, with 6 decimals at most", 6, 10**6
)
_PER_ONE = values.scaled("credits for one, from 0 to 10000, with 12 decimals at most", 12, 10**4)
RATES: Mapping[str, Kind] = {
    rate: _PER_ONE if rate in ("request", "web_search") else _PER_MILLION
    for rate in Override.__struct_fields__
}
FREE = Override(**dict.fromkeys(RATES, 0))

MARKUP = values.scaled(
    "a factor above 0 and up to 100, with 4 decimals at most, such as 1.2", 4, 100, zero=False
)
"""Kept in basis points."""

RETENTION_DAYS = values.integer(0, 36_500)
"""0 is for ever."""

_LARGEST_TEXT = 2**27
"""Bytes. What was asked and answered is stored in several forms, together less than the gigabyte that a
database takes at once."""

WORKERS = values.integer_or("auto", 1, 256)

# Every scalar setting by section ("" is the top of the file), and with it every variable.
SCALARS: Mapping[str, Mapping[str, Kind]] = {
    "": {
        "host": values.text("an address or a host name", r"[0-9A-Za-z.:_-]{1,255}"),
        "port": values.integer(0, 65_535),
        "workers": WORKERS,
        "database_url": values.text(
            "a database URL such as sqlite:///var/quantized.db or postgresql://user:password@host/database",
            r"\S+",
            quiet=True,
        ),
        "log_level": values.choice("debug", "info", "warning", "error"),
        "cors_origins": values.texts("a list of origins such as https://chat.example.edu", values.is_origin),
        "default_provider": _name,
        "demo": values.boolean,
        "admin_api": values.boolean,
        "public_url": values.text(
            "a URL such as https://ai.example.edu, or nothing", r"(https?://[!-.0->@-~]+(/[!-\"$->@-~]*)?)?"
        ),
        "key_cache_seconds": values.seconds(5, zero=True),
        "keep_alive_seconds": values.seconds(3_600),
        "shutdown_seconds": values.seconds(3_600, zero=True),
    },
    "timeouts": {
        "connect": values.seconds(_DAY),
        "first_byte": values.seconds(_DAY),
        "idle": values.seconds(_DAY),
        "total": values.seconds(_DAY),
    },
    "limits": {
        "body_bytes": values.integer(1_024, _LARGEST_TEXT),
        "body_seconds": values.seconds(3_600),
        "body_depth": values.integer(8, 512),
        "answer_bytes": values.integer(1_024, _LARGEST_TEXT),
    },
    "outgoing": {
        # Quiet: it may hold a password.
        "proxy": values.text("an http:// URL, or nothing", r"(http://[^\s/?#]+/?)?", quiet=True),
        "no_proxy": values.texts("a list of hosts", lambda item: bool(item) and not set(item) & set(" /@")),
    },
    "responses": {
        "retention_days": RETENTION_DAYS,
        "chain_turns": values.integer(1, 10_000),
        "chain_bytes": values.integer(1_024, 2**30),
    },
    "retries": {
        "attempts": values.integer(0, 10),
        "longest_wait": values.seconds(60, zero=True),
    },
    "catalog": {
        "refresh_seconds": values.seconds(30 * _DAY),
        "micro_credits_per_usd": values.integer(1, 10**12),
        "markup": MARKUP,
    },
}
TABLES: Mapping[str, tuple[str, ...]] = {
    "": (*filter(None, SCALARS), "providers"),
    "catalog": ("overrides",),
}

PROVIDER: Mapping[str, Kind] = {
    "base_url": values.base_url,
    # Quiet and in capitals only: whoever writes the key itself here shall not read it back in a log.
    "api_key_env": values.text(
        "the name of an environment variable, in capitals", "[A-Z_][A-Z0-9_]*", quiet=True
    ),
    "output_cap_field": values.choice("max_tokens", "max_completion_tokens"),
    "output_cap_required": values.boolean,
    "stream_usage": values.boolean,
    "reasoning_field": values.choice("reasoning", "reasoning_content"),
    "unsigned_calls": values.json_object,
}
ANTHROPIC: Mapping[str, Kind] = {
    "base_url": PROVIDER["base_url"],
    "api_key_env": PROVIDER["api_key_env"],
    "caching": values.choice("off", "continued", "always"),
    "web_searches": values.integer(1, 10),
}
BEDROCK: Mapping[str, Kind] = {
    "enabled": values.boolean,
    "region": values.text("an AWS region such as us-east-1", r"[a-z]{2,8}(-[a-z]{1,16}){1,3}-[0-9]{1,2}"),
    "profile": values.text("the name of a profile in AWS's files", r"[^\x00-\x1f\x7f]{1,200}"),
    "caching": ANTHROPIC["caching"],
    "fetch_images": values.boolean,
    "geography": values.choice("us", "eu", "apac", "au", "jp", "ca", "in", "us-gov", "global", "none"),
    "markup": MARKUP,
}
BEDROCK_PROFILE: Mapping[str, Kind] = {
    "model": values.text(
        "the name of the model behind it, such as anthropic/claude-sonnet-4.5", MODEL_ID.pattern
    ),
}
MODEL: Mapping[str, Kind] = {
    "native_id": values.text("the provider's own name of the model", MODEL_ID.pattern),
    "name": values.text("a name of printable characters", r"[^\x00-\x1f\x7f]{1,200}"),
    "context_window": values.integer(1, 10**9),
    "max_output_tokens": values.integer(1, 10**9),
    "features": values.texts(
        "a list of features such as tool_calls",
        lambda item: re.fullmatch("[a-z][a-z0-9_]*", item) is not None,
    ),
    "image": values.boolean,
    "audio": values.boolean,
    "free": values.boolean,
}
