"""Environment and `quantized.toml` to one frozen `Settings`. The only reader of the environment.

`quantized.toml.example` documents every setting. A scalar at `[section] key` has the variable
`QUANTIZED_SECTION_KEY`, which wins over the file; a list is written there with commas.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec import Struct

from quantized import settings_schema as schema
from quantized import settings_values as values
from quantized.core.ports import Override
from quantized.settings_values import Kind, Mistakes


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
    """One OpenAI-compatible server. `api_key` was read from the variable that the table names; None: none.
    It is not shown when the settings are printed. `output_cap_required`: no request without a cap."""

    base_url: str
    api_key: str | None = None
    models: Mapping[str, ModelSettings] = {}
    output_cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    output_cap_required: bool = False

    def __rich_repr__(self) -> list[tuple[str, object]]:
        shown = []
        for field in self.__struct_fields__:
            value = getattr(self, field)
            shown.append((field, "…" if field == "api_key" and value is not None else value))
        return shown

    def __repr__(self) -> str:
        return f"ProviderSettings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


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
    outgoing: OutgoingSettings = OutgoingSettings()
    responses: ResponsesSettings = ResponsesSettings()
    retries: Retries = Retries()
    catalog: CatalogSettings = CatalogSettings()
    providers: Mapping[str, ProviderSettings] = {}
    """Every configured real provider by name; `openrouter` is there when its key is set."""


class SettingsError(Exception):
    """Every mistake at once; `mistakes` holds (place, what is wrong and what would work)."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{place}: {what}" for place, what in mistakes))
        self.mistakes = mistakes


T = TypeVar("T")

_DEFAULT_FILE = Path("quantized.toml")
_DEMO = "demo"
_OPENROUTER = "openrouter"
_OPENROUTER_URL = "https://openrouter.ai/api/v1"


def variable(section: str, key: str) -> str:
    """The environment variable of a scalar setting."""
    return f"QUANTIZED_{section}_{key}".upper() if section else f"QUANTIZED_{key}".upper()


def load(environ: Mapping[str, str], path: Path | None = None, *, need_keys: bool = True) -> Settings:
    """Settings from `environ` over the file at `path`.

    Without `path` the file is what `QUANTIZED_CONFIG` names, or else `quantized.toml` in the working
    directory if it is there. Without `need_keys` a provider's key may be missing: who administers licences
    from a shell need not hold the secrets that the gateway runs with. Raises SettingsError.
    """
    return _Loading(environ, path, need_keys=need_keys).settings()


class _Loading:
    """One reading of file and environment, with the mistakes found on the way."""

    def __init__(self, environ: Mapping[str, str], path: Path | None, *, need_keys: bool) -> None:
        self.environ = environ
        self.need_keys = need_keys
        self.mistakes = Mistakes()
        self.key_variables: set[str] = set()
        named = path if path is not None else environ.get("QUANTIZED_CONFIG")
        self.path = Path(named) if named is not None else _DEFAULT_FILE
        self.file = self._read_file(must_exist=named is not None)

    def settings(self) -> Settings:
        scalars = {section: self._scalars(section) for section in schema.SCALARS}
        providers = dict(self._providers())
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

    def _read_file(self, *, must_exist: bool) -> Mapping[str, object]:
        try:
            # NUL in a path is a ValueError, too.
            text = self.path.read_bytes().decode()
        except FileNotFoundError:
            if must_exist:
                self.mistakes.add(self._shown_path(), "there is no such file")
            return {}
        except UnicodeDecodeError:
            self.mistakes.add(self._shown_path(), "is not UTF-8 text")
            return {}
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.mistakes.add(self._shown_path(), f"cannot be read: {reason}")
            return {}
        try:
            return tomllib.loads(text, parse_float=values.parse_toml_float)
        except ValueError as error:
            self.mistakes.add(self._shown_path(), f"is not TOML: {error}")
        except RecursionError:
            self.mistakes.add(self._shown_path(), "is not TOML: nested too deeply")
        return {}

    def _shown_path(self) -> str:
        return str(self.path).encode("utf-8", "backslashreplace").decode()

    def _place(self, section: str, key: str = "") -> str:
        header = f" [{section}]" if section else ""
        return f"{self._shown_path()}:{header}{' ' if key else ''}{values.shown_key(key) if key else ''}"

    def _scalars(self, section: str) -> dict[str, Any]:
        """What is set in `section`, by key; the variable wins, but the file is judged all the same."""
        kinds = schema.SCALARS[section]
        table = (
            values.table(self.mistakes, self._place(section), self.file.get(section, {}))
            if section
            else self.file
        )
        self._refuse_unknown(section, table, (*kinds, *schema.TABLES.get(section, ())))
        found = self._judged(section, table, kinds)
        for key, kind in kinds.items():
            name = variable(section, key)
            if name in self.environ:
                found[key] = self.mistakes.judge(name, kind, kind.from_text(self.environ[name]))
        return found

    def _judged(self, section: str, table: Mapping[str, object], kinds: Mapping[str, Kind]) -> dict[str, Any]:
        return {
            key: self.mistakes.judge(self._place(section, key), kind, table[key])
            for key, kind in kinds.items()
            if key in table
        }

    def _refuse_unknown(self, section: str, table: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self.mistakes.unknown(self._place(section, key), "setting", key, known)

    def _providers(self) -> Iterator[tuple[str, ProviderSettings]]:
        section = "providers"
        for name, found in values.table(
            self.mistakes, self._place(section), self.file.get(section, {})
        ).items():
            place = self._place(f"{section}.{values.shown_key(name)}")
            if name == _DEMO:
                self.mistakes.add(place, "the name is that of the built-in demo; choose another")
            elif name == _OPENROUTER:
                self.mistakes.add(
                    place,
                    "is set up by OPENROUTER_API_KEY and OPENROUTER_BASE_URL; rates by [catalog.overrides]",
                )
            elif not schema.PROVIDER_NAME.fullmatch(name):
                self.mistakes.add(
                    place, "a name is lower-case letters, digits, _ and -, a letter or digit first"
                )
            else:
                yield name, self._provider(f"{section}.{name}", values.table(self.mistakes, place, found))
        openrouter = self._openrouter()
        if openrouter is not None:
            yield _OPENROUTER, openrouter

    def _provider(self, section: str, table: Mapping[str, object]) -> ProviderSettings:
        self._refuse_unknown(section, table, (*schema.PROVIDER, "models"))
        found = self._judged(section, table, schema.PROVIDER)
        if "base_url" not in table:
            self.mistakes.add(
                self._place(section, "base_url"), f"is missing; must be {schema.PROVIDER['base_url'].wants}"
            )
            # Noted; the provider is still one that other settings may name.
            found["base_url"] = ""
        key_variable = found.pop("api_key_env", None)
        if key_variable is not None:
            found["api_key"] = self._api_key(self._place(section, "api_key_env"), key_variable)
        models = self._by_model(f"{section}.models", table.get("models", {}), self._model)
        return ProviderSettings(**found, models=models)

    def _by_model(self, section: str, found: object, read: Callable[[str, object], T]) -> dict[str, T]:
        table = values.table(self.mistakes, self._place(section), found)
        for model in table:
            if not schema.MODEL_ID.fullmatch(model):
                self.mistakes.add(
                    self._place(section, model), "is no model's name: 1 to 200 characters, no spaces"
                )
        return {model: read(f"{section}.{values.shown_key(model)}", row) for model, row in table.items()}

    def _api_key(self, place: str, name: str) -> str | None:
        self.key_variables.add(name)
        if not self.environ.get(name):
            if self.need_keys:
                self.mistakes.add(
                    place,
                    f"the variable {name} is not set; set it, or leave api_key_env out if no key is needed",
                )
            return None
        return self._judge_api_key(name)

    def _judge_api_key(self, name: str) -> str:
        key = self.environ[name]
        if not schema.API_KEY.fullmatch(key):
            self.mistakes.add(
                name, "is no usable key: it holds a space, a line end or a character beyond ASCII"
            )
        return key

    def _openrouter(self) -> ProviderSettings | None:
        url = self.environ.get("OPENROUTER_BASE_URL") or _OPENROUTER_URL
        self.mistakes.judge("OPENROUTER_BASE_URL", values.base_url, url)
        # An empty key is what a container's `KEY=${KEY:-}` makes of one that is not set.
        if not self.environ.get("OPENROUTER_API_KEY"):
            return None
        return ProviderSettings(base_url=url, api_key=self._judge_api_key("OPENROUTER_API_KEY"))

    def _model(self, section: str, row: object) -> ModelSettings:
        place = self._place(section)
        table = values.table(self.mistakes, place, row)
        self._refuse_unknown(section, table, (*schema.MODEL, "rates"))
        found = self._judged(section, table, schema.MODEL)
        free = found.pop("free", False)
        if "rates" not in table:
            return ModelSettings(**found, rates=schema.FREE if free else Override())
        rates = self._rates(f"{section}.rates", table["rates"])
        named = table["rates"] if isinstance(table["rates"], dict) else ("input", "output")
        if free:
            self.mistakes.add(place, "is free and has rates; leave one of them out")
        elif "input" not in named or "output" not in named:
            self.mistakes.add(place, "rates must name input and output at least")
        return ModelSettings(**found, rates=rates)

    def _rates(self, section: str, found: object) -> Override:
        table = values.table(self.mistakes, self._place(section), found)
        self._refuse_unknown(section, table, tuple(schema.RATES))
        return Override(**self._judged(section, table, schema.RATES))

    def _catalog_overrides(self, providers: Mapping[str, object]) -> Mapping[str, Mapping[str, Override]]:
        section = "catalog.overrides"
        catalog = self.file.get("catalog", {})
        found = catalog.get("overrides", {}) if isinstance(catalog, dict) else {}
        known = {*providers, _OPENROUTER, _DEMO}
        overrides: dict[str, Mapping[str, Override]] = {}
        for name, models in values.table(self.mistakes, self._place(section), found).items():
            inner = f"{section}.{values.shown_key(name)}"
            if name not in known:
                self.mistakes.unknown(self._place(inner), "provider", name, known)
            overrides[name] = self._by_model(inner, models, self._rates)
        return overrides

    def _check_names(self, top: Mapping[str, Any], providers: Mapping[str, object]) -> None:
        """What can be judged only once everything has been read."""
        chosen = top.get("default_provider")
        callable_now = {*providers, *([_DEMO] if top.get("demo", True) else [])}
        if not self.need_keys:
            callable_now.add(_OPENROUTER)
        if chosen is not None and chosen not in callable_now:
            name = variable("", "default_provider")
            place = name if name in self.environ else self._place("", "default_provider")
            if chosen == _OPENROUTER:
                self.mistakes.add(place, "is openrouter, whose key is not set; set OPENROUTER_API_KEY")
            else:
                self.mistakes.unknown(place, f"provider {values.echo(chosen)}", chosen, callable_now)
        known = {
            "QUANTIZED_CONFIG",
            *(variable(section, key) for section in schema.SCALARS for key in schema.SCALARS[section]),
        }
        for name in sorted(self.environ.keys() - known - self.key_variables):
            if name.startswith("QUANTIZED_"):
                self.mistakes.unknown(name, "variable", name, known)
