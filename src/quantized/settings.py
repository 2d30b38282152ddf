"""Environment and `quantized.toml` to one frozen `Settings`. The only reader of the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from quantized.core.ports import Override


class Timeouts(Struct, frozen=True):
    """Seconds. `first_byte` runs from the request's last byte to the answer's first event, `idle` between
    two pieces of it, `total` over all."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    total: float = 1_800.0


class Limits(Struct, frozen=True):
    """`body_bytes` and `body_depth` bound a request, `answer_bytes` a provider's JSON answer."""

    body_bytes: int = 32 * 1024 * 1024
    body_depth: int = 128
    answer_bytes: int = 64 * 1024 * 1024


class Retries(Struct, frozen=True):
    """Further tries before the first byte, and the longest wait (seconds) that is ours to make."""

    attempts: int = 2
    longest_wait: float = 2.0


class ModelSettings(Struct, frozen=True):
    """One `[providers.NAME.models."id"]` table. Rates are micro-credits per million."""

    rates: Override = Override()
    native_id: str | None = None
    name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    features: tuple[str, ...] = ()
    image: bool = False
    audio: bool = False


class ProviderSettings(Struct, frozen=True):
    """One OpenAI-compatible server. `api_key` was read from the variable that the table names; None: none."""

    base_url: str
    api_key: str | None = None
    models: Mapping[str, ModelSettings] = {}
    output_cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class CatalogSettings(Struct, frozen=True):
    """`overrides` by provider, then by model id. `markup_bp`: basis points on every catalogue rate."""

    refresh_seconds: float = 3_600.0
    micro_credits_per_usd: int = 1_000_000
    markup_bp: int = 10_000
    overrides: Mapping[str, Mapping[str, Override]] = {}


class Settings(Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str = "sqlite:///var/quantized.db"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    cors_origins: tuple[str, ...] = ()
    default_provider: str = "openrouter"
    demo: bool = True
    key_cache_seconds: float = 2.0
    keep_alive_seconds: float = 15.0
    shutdown_seconds: float = 30.0
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    retries: Retries = Retries()
    catalog: CatalogSettings = CatalogSettings()
    providers: Mapping[str, ProviderSettings] = {}
    """Every configured real provider by name; `openrouter` is there when its key is set."""


class SettingsError(Exception):
    """Every mistake at once; `mistakes` holds (place, what is wrong and what would work)."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{place}: {what}" for place, what in mistakes))
        self.mistakes = mistakes


def load(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """Settings from `environ` over the file at `path` (default `quantized.toml`, if it is there).

    Raises SettingsError.
    """
    raise NotImplementedError
