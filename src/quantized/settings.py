"""Environment and `quantized.toml` to one frozen `Settings`. The only reader of the environment.

`quantized.toml.example` documents every setting. A scalar at `[section] key` has the variable
`QUANTIZED_SECTION_KEY`, which wins over the file; a list is written there with commas.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from quantized import settings_schema as schema
from quantized import settings_values as values
from quantized.core.ports import Override
from quantized.settings_file import SettingsFile
from quantized.settings_providers import DEMO, KEY_VARIABLES, TABLED, ProviderRow, ProviderTables
from quantized.settings_values import Mistakes


class Timeouts(Struct, frozen=True):
    """Seconds. `first_byte` runs from the request's last byte to the answer's first event, `idle` between
    two pieces of it, `total` over all."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    total: float = 1_800.0


class Limits(Struct, frozen=True):
    """`body_bytes`, `body_depth` and `body_seconds` (to arrive) bound a request, `answer_bytes` a provider's
    JSON answer."""

    body_bytes: int = 32 * 1024 * 1024
    body_seconds: float = 60.0
    body_depth: int = 128
    answer_bytes: int = 64 * 1024 * 1024


class OutgoingSettings(Struct, frozen=True):
    """`proxy`: the http:// URL of one that leads to the providers, "" for none. `no_proxy`: hosts, and the
    domains of hosts, that are reached without it. The URL is not shown when the settings are printed."""

    proxy: str = ""
    no_proxy: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"OutgoingSettings(proxy={'…' if self.proxy else ''!r}, no_proxy={self.no_proxy!r})"


class ResponsesSettings(Struct, frozen=True):
    """`retention_days` is 0 for ever. The others bound a stored conversation that goes on: its turns, and the
    bytes that are read of it."""

    retention_days: int = 30
    chain_turns: int = 200
    chain_bytes: int = 16 * 1024 * 1024


class Retries(Struct, frozen=True):
    """Further tries before the first byte, and the longest wait (seconds) that is ours to make."""

    attempts: int = 2
    longest_wait: float = 2.0


class CatalogSettings(Struct, frozen=True):
    """`overrides` by provider, then by model id. `markup_bp`: basis points on every catalogue rate."""

    refresh_seconds: float = 3_600.0
    micro_credits_per_usd: int = 1_000_000
    markup_bp: int = 10_000
    overrides: Mapping[str, Mapping[str, Override]] = {}


_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what a caller here takes instead


class Settings(Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int | Literal["auto"] = 1
    database_url: str = "sqlite:///var/quantized.db"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    cors_origins: tuple[str, ...] = ()
    default_provider: str = "openrouter"
    demo: bool = True
    admin_api: bool = True
    public_url: str = ""
    key_cache_seconds: float = 1.0
    keep_alive_seconds: float = 15.0
    shutdown_seconds: float = 30.0
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    outgoing: OutgoingSettings = OutgoingSettings()
    responses: ResponsesSettings = ResponsesSettings()
    retries: Retries = Retries()
    catalog: CatalogSettings = CatalogSettings()
    providers: Mapping[str, ProviderRow] = {}
    """Every configured real provider by name; a built-in one is there when its key is set."""

    @property
    def site(self) -> str:
        """Where people reach the gateway; where that is not said, where this machine does."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = _ANY_ADDRESS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class SettingsError(Exception):
    """Every mistake at once; `mistakes` holds (place, what is wrong and what would work)."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{place}: {what}" for place, what in mistakes))
        self.mistakes = mistakes


COMMAND_LINE_VARIABLES = ("QUANTIZED_ADMIN_URL", "QUANTIZED_ADMIN_KEY")
"""Which gateway the command line administers, and by which key. The gateway itself has no use for them."""

_DEFAULT_FILE = Path("quantized.toml")


def variable(section: str, key: str) -> str:
    """The environment variable of a scalar setting."""
    return f"QUANTIZED_{section}_{key}".upper() if section else f"QUANTIZED_{key}".upper()


def load(
    environ: Mapping[str, str],
    path: Path | None = None,
    *,
    need_keys: bool = True,
    judge_database: Callable[[str], str | None] = lambda _: None,
) -> Settings:
    """Settings from `environ` over the file at `path`.

    Without `path` the file is what `QUANTIZED_CONFIG` names, or else `quantized.toml` in the working
    directory if it is there. Without `need_keys` a provider's key may be missing: who administers licences
    from a shell need not hold the secrets that the gateway runs with. `judge_database` says what is
    wrong with a database's URL, or None. Raises SettingsError.
    """
    return _Loading(environ, path, need_keys=need_keys, judge_database=judge_database).settings()


class _Loading:
    """One reading of file and environment, with the mistakes found on the way."""

    def __init__(
        self,
        environ: Mapping[str, str],
        path: Path | None,
        *,
        need_keys: bool,
        judge_database: Callable[[str], str | None],
    ) -> None:
        self.environ = environ
        self.need_keys = need_keys
        self.judge_database = judge_database
        self.mistakes = Mistakes()
        named = path if path is not None else environ.get("QUANTIZED_CONFIG")
        found = Path(named) if named is not None else _DEFAULT_FILE
        self.file = SettingsFile(found, self.mistakes, must_exist=named is not None)
        self.tables = ProviderTables(self.file, environ, need_keys=need_keys)

    def settings(self) -> Settings:
        scalars = {section: self._scalars(section) for section in schema.SCALARS}
        providers = dict(self.tables.rows())
        overrides = self._catalog_overrides(providers)
        self._check_names(scalars[""], providers)
        if self.mistakes.found:
            raise SettingsError(self.mistakes.found)
        catalog = scalars["catalog"]
        if "markup" in catalog:
            catalog["markup_bp"] = catalog.pop("markup")
        return Settings(
            **scalars[""],
            timeouts=Timeouts(**scalars["timeouts"]),
            limits=Limits(**scalars["limits"]),
            outgoing=OutgoingSettings(**scalars["outgoing"]),
            responses=ResponsesSettings(**scalars["responses"]),
            retries=Retries(**scalars["retries"]),
            catalog=CatalogSettings(**catalog, overrides=overrides),
            providers=providers,
        )

    def _scalars(self, section: str) -> dict[str, Any]:
        """What is set in `section`, by key; the variable wins, but the file is judged all the same."""
        kinds = schema.SCALARS[section]
        tables = self.file.tables
        table = self.file.table(section, tables.get(section, {})) if section else tables
        self.file.refuse_unknown(section, table, (*kinds, *schema.TABLES.get(section, ())))
        found = self.file.judged(section, table, kinds)
        for key, kind in kinds.items():
            name = variable(section, key)
            if name in self.environ:
                found[key] = self.mistakes.judge(name, kind, kind.from_text(self.environ[name]))
        return found

    def _catalog_overrides(self, providers: Mapping[str, object]) -> Mapping[str, Mapping[str, Override]]:
        section = "catalog.overrides"
        catalog = self.file.tables.get("catalog", {})
        found = catalog.get("overrides", {}) if isinstance(catalog, dict) else {}
        known = {*providers, *KEY_VARIABLES, DEMO}
        overrides: dict[str, Mapping[str, Override]] = {}
        for name, models in self.file.table(section, found).items():
            inner = f"{section}.{values.shown_key(name)}"
            if name not in known:
                self.mistakes.unknown(self.file.place(inner), "provider", name, known)
            overrides[name] = self.tables.by_model(inner, models, self.tables.rates)
        return overrides

    def _place(self, key: str) -> str:
        """Where a setting of the top was read."""
        name = variable("", key)
        return name if name in self.environ else self.file.place("", key)

    def _check_names(self, top: Mapping[str, Any], providers: Mapping[str, object]) -> None:
        """What can be judged only once everything has been read."""
        url = top.get("database_url")
        if url is not None and (complaint := self.judge_database(url)):
            self.mistakes.add(self._place("database_url"), complaint)
        chosen = top.get("default_provider")
        callable_now = {*providers, *([DEMO] if top.get("demo", True) else [])}
        if not self.need_keys:
            callable_now.update(KEY_VARIABLES)
        if chosen is not None and chosen not in callable_now:
            place = self._place("default_provider")
            if chosen in KEY_VARIABLES:
                table = f", or write a table [providers.{chosen}]" if chosen in TABLED else ""
                self.mistakes.add(
                    place, f"is {chosen}, which is not set up; set {KEY_VARIABLES[chosen]}{table}"
                )
            else:
                self.mistakes.unknown(place, f"provider {values.echo(chosen)}", chosen, callable_now)
        known = {
            "QUANTIZED_CONFIG",
            *COMMAND_LINE_VARIABLES,
            *(variable(section, key) for section in schema.SCALARS for key in schema.SCALARS[section]),
        }
        for name in sorted(self.environ.keys() - known - self.tables.key_variables):
            if name.startswith("QUANTIZED_"):
                self.mistakes.unknown(name, "variable", name, known)
