"""Which providers there are: a row for each, of its own kind, from the file's tables and the environment.

A provider with a kind of its own has its variables, and where the file may say more, a table of its name
with keys of its own. Every other table is an OpenAI-compatible server.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeVar

from msgspec import Struct

from quantized import settings_schema as schema
from quantized import settings_values as values
from quantized.core.ports import Override
from quantized.settings_file import SettingsFile

T = TypeVar("T")

DEMO = "demo"
OPENROUTER = "openrouter"
ANTHROPIC = "anthropic"
BEDROCK = "bedrock"

KEY_VARIABLES: Mapping[str, str] = {
    OPENROUTER: "OPENROUTER_API_KEY",
    ANTHROPIC: "ANTHROPIC_API_KEY",
    BEDROCK: "AWS_BEARER_TOKEN_BEDROCK",
}
"""The built-in providers, and the variable whose presence configures each."""
TABLED = frozenset({ANTHROPIC, BEDROCK})
"""Those that a table of their name may set up as well."""

_BEDROCK_URL = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_BEDROCK_KEYS = {key: f"QUANTIZED_PROVIDERS_BEDROCK_{key.upper()}" for key in schema.BEDROCK}
_BEDROCK_WISHES = (KEY_VARIABLES[BEDROCK], _BEDROCK_URL, _BEDROCK_KEYS["enabled"])
"""Variables that say that it is wanted. AWS's others do not: they are there wherever AWS is used at all."""

_OPENROUTER_URL = "https://openrouter.ai/api/v1"
_ANTHROPIC_URL = "https://api.anthropic.com"


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


_SECRETS = frozenset({"api_key", "bearer_token"})


class Row(Struct, frozen=True):
    """Base of the kinds of providers. Their keys are not shown when the settings are printed."""

    def __rich_repr__(self) -> list[tuple[str, object]]:
        shown = []
        for field in self.__struct_fields__:
            value = getattr(self, field)
            shown.append((field, "…" if field in _SECRETS and value is not None else value))
        return shown

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"
        )


class ProviderSettings(Row, frozen=True):
    """One OpenAI-compatible server. `api_key` was read from the variable that the table names; None: none.
    `output_cap_required`: no request without a cap. `stream_usage`: streams are asked for their usage.
    `reasoning_field`: the name by which the text of earlier reasoning goes back; None: it does not.
    `unsigned_calls`: a JSON object, what the server takes in place of what it put beside a call."""

    base_url: str
    api_key: str | None = None
    models: Mapping[str, ModelSettings] = {}
    output_cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    output_cap_required: bool = False
    stream_usage: bool = True
    reasoning_field: Literal["reasoning", "reasoning_content"] | None = None
    unsigned_calls: str | None = None


class AnthropicSettings(Row, frozen=True):
    """Anthropic. `caching`: when a request is marked for its prompt cache without being asked to.
    `web_searches`: the most that one request may make."""

    base_url: str = _ANTHROPIC_URL
    api_key: str | None = None
    caching: Literal["off", "continued", "always"] = "continued"
    web_searches: int = 1


class BedrockProfile(Struct, frozen=True):
    """One `[providers.bedrock.profiles."arn:…"]` table: the model behind an ARN that does not say which
    it is. Rates, in micro-credits per million, stand in place of that model's."""

    model: str
    rates: Override = Override()


class BedrockSettings(Row, frozen=True):
    """AWS Bedrock. `bearer_token`: a Bedrock API key; without one, AWS's credentials are looked for, those of
    `profile` where it is given. `endpoint` stands in for the region's own. `fetch_images`: images that
    callers give by their URL are fetched here, because Bedrock fetches none. `geography`: whose inference
    profiles public names mean; None where the region says it. `markup_bp`: basis points on the list's prices,
    None where nobody said anything. `profiles` by ARN."""

    region: str
    profile: str | None = None
    bearer_token: str | None = None
    endpoint: str | None = None
    caching: Literal["off", "continued", "always"] = "continued"
    fetch_images: bool = False
    geography: str | None = None
    markup_bp: int | None = None
    profiles: Mapping[str, BedrockProfile] = {}


ProviderRow = ProviderSettings | AnthropicSettings | BedrockSettings


class ProviderTables:
    """One reading of the providers. Without `need_keys` a key may be missing."""

    def __init__(self, file: SettingsFile, environ: Mapping[str, str], *, need_keys: bool) -> None:
        self._file = file
        self._mistakes = file.mistakes
        self._environ = environ
        self._need_keys = need_keys
        self.key_variables = set(_BEDROCK_KEYS.values())
        """Every variable of ours that a provider has, or that its table names."""

    def rows(self) -> Iterator[tuple[str, ProviderRow]]:
        """By name, each once."""
        tables = self._file.table("providers", self._file.tables.get("providers", {}))
        for name, found in tables.items():
            section = f"providers.{values.shown_key(name)}"
            place = self._file.place(section)
            if name == DEMO:
                self._mistakes.add(place, "the name is that of the built-in demo; choose another")
            elif name == OPENROUTER:
                self._mistakes.add(
                    place,
                    "is set up by OPENROUTER_API_KEY and OPENROUTER_BASE_URL; rates by [catalog.overrides]",
                )
            elif name == ANTHROPIC:
                yield name, self._anthropic(section, self._file.table(section, found))
            elif name == BEDROCK:
                yield from self._bedrock(section, self._file.table(section, found))
            elif not schema.PROVIDER_NAME.fullmatch(name):
                self._mistakes.add(
                    place, "a name is lower-case letters, digits, _ and -, a letter or digit first"
                )
            else:
                yield name, self._server(section, self._file.table(section, found))
        yield from self._without_table(tables)

    def _without_table(self, tables: Mapping[str, object]) -> Iterator[tuple[str, ProviderRow]]:
        """The built-in providers that the environment alone sets up."""
        if ANTHROPIC not in tables:
            url = self._url("ANTHROPIC_BASE_URL", _ANTHROPIC_URL)
            if self._is_set(KEY_VARIABLES[ANTHROPIC]):
                yield ANTHROPIC, AnthropicSettings(url, self._judged_key(KEY_VARIABLES[ANTHROPIC]))
        if BEDROCK not in tables and any(map(self._is_set, _BEDROCK_WISHES)):
            yield from self._bedrock(f"providers.{BEDROCK}", {})
        url = self._url("OPENROUTER_BASE_URL", _OPENROUTER_URL)
        if self._is_set(KEY_VARIABLES[OPENROUTER]):
            yield OPENROUTER, ProviderSettings(url, self._judged_key(KEY_VARIABLES[OPENROUTER]))

    def by_model(self, section: str, found: object, read: Callable[[str, object], T]) -> dict[str, T]:
        """What `read` makes of each table (with its section) of a table of models."""
        table = self._file.table(section, found)
        for model in table:
            if not schema.MODEL_ID.fullmatch(model):
                self._mistakes.add(
                    self._file.place(section, model), "is no model's name: 1 to 200 characters, no spaces"
                )
        return {model: read(f"{section}.{values.shown_key(model)}", row) for model, row in table.items()}

    def rates(self, section: str, found: object) -> Override:
        table = self._file.table(section, found)
        self._file.refuse_unknown(section, table, tuple(schema.RATES))
        return Override(**self._file.judged(section, table, schema.RATES))

    def _anthropic(self, section: str, table: Mapping[str, object]) -> AnthropicSettings:
        self._file.refuse_unknown(section, table, tuple(schema.ANTHROPIC))
        found = self._file.judged(section, table, schema.ANTHROPIC)
        found["base_url"] = self._url("ANTHROPIC_BASE_URL", found.get("base_url") or _ANTHROPIC_URL)
        key_variable = found.pop("api_key_env", None)
        if key_variable is None:
            key_variable, place = KEY_VARIABLES[ANTHROPIC], self._file.place(section)
        else:
            place = self._file.place(section, "api_key_env")
        found["api_key"] = self._key(place, key_variable, "or take the table out")
        return AnthropicSettings(**found)

    def _bedrock(self, section: str, table: Mapping[str, object]) -> Iterator[tuple[str, BedrockSettings]]:
        """AWS's other variables, and its files, are read by botocore when it looks for credentials."""
        self._file.refuse_unknown(section, table, (*schema.BEDROCK, "profiles"))
        found = self._file.judged(section, table, schema.BEDROCK)
        for key, name in _BEDROCK_KEYS.items():
            if self._is_set(name):
                kind = schema.BEDROCK[key]
                found[key] = self._mistakes.judge(name, kind, kind.from_text(self._environ[name]))
        if not found.pop("enabled", True):
            return
        if "region" not in found:
            found["region"] = self._region(self._file.place(section, "region"))
        if self._is_set(KEY_VARIABLES[BEDROCK]):
            found["bearer_token"] = self._judged_key(KEY_VARIABLES[BEDROCK])
        found["endpoint"] = self._url(_BEDROCK_URL, "") or None
        found["markup_bp"] = found.pop("markup", None)
        found["profiles"] = self._profiles(f"{section}.profiles", table.get("profiles", {}))
        yield BEDROCK, BedrockSettings(**found)

    def _profiles(self, section: str, found: object) -> dict[str, BedrockProfile]:
        profiles = self.by_model(section, found, self._profile)
        for arn in profiles:
            if not arn.startswith("arn:"):
                self._mistakes.add(
                    self._file.place(section, arn), "is no ARN, such as an application inference profile's"
                )
        return profiles

    def _profile(self, section: str, row: object) -> BedrockProfile:
        table = self._file.table(section, row)
        self._file.refuse_unknown(section, table, (*schema.BEDROCK_PROFILE, "rates"))
        found = self._file.judged(section, table, schema.BEDROCK_PROFILE)
        if "model" not in table:
            wants = schema.BEDROCK_PROFILE["model"].wants
            self._mistakes.add(self._file.place(section, "model"), f"is missing; must be {wants}")
            found["model"] = ""
        rates = self.rates(f"{section}.rates", table["rates"]) if "rates" in table else Override()
        return BedrockProfile(**found, rates=rates)

    def _region(self, place: str) -> str:
        for name in _REGIONS:
            if self._is_set(name):
                region = self._environ[name]
                self._mistakes.judge(name, schema.BEDROCK["region"], region)
                return region
        if self._need_keys:
            wants = schema.BEDROCK["region"].wants
            self._mistakes.add(place, f"is missing; set it, or AWS_REGION, to {wants}")
        return ""

    def _server(self, section: str, table: Mapping[str, object]) -> ProviderSettings:
        self._file.refuse_unknown(section, table, (*schema.PROVIDER, "models"))
        found = self._file.judged(section, table, schema.PROVIDER)
        if "base_url" not in table:
            self._mistakes.add(
                self._file.place(section, "base_url"),
                f"is missing; must be {schema.PROVIDER['base_url'].wants}",
            )
            # Noted; the provider is still one that other settings may name.
            found["base_url"] = ""
        key_variable = found.pop("api_key_env", None)
        if key_variable is not None:
            place = self._file.place(section, "api_key_env")
            found["api_key"] = self._key(place, key_variable, "or leave api_key_env out if no key is needed")
        models = self.by_model(f"{section}.models", table.get("models", {}), self._model)
        return ProviderSettings(**found, models=models)

    def _is_set(self, name: str) -> bool:
        """An empty key is what a container's `KEY=${KEY:-}` makes of one that is not set."""
        return bool(self._environ.get(name))

    def _url(self, name: str, otherwise: str) -> str:
        """The base URL in the variable `name`, judged there, or else `otherwise`."""
        url = self._environ.get(name)
        if not url:
            return otherwise
        self._mistakes.judge(name, values.base_url, url)
        return url

    def _key(self, place: str, name: str, instead: str) -> str | None:
        """The key in the variable `name`, which was named at `place`."""
        self.key_variables.add(name)
        if self._is_set(name):
            return self._judged_key(name)
        if self._need_keys:
            self._mistakes.add(place, f"the variable {name} is not set; set it, {instead}")
        return None

    def _judged_key(self, name: str) -> str:
        key = self._environ[name]
        if not schema.API_KEY.fullmatch(key):
            self._mistakes.add(
                name, "is no usable key: it holds a space, a line end or a character beyond ASCII"
            )
        return key

    def _model(self, section: str, row: object) -> ModelSettings:
        place = self._file.place(section)
        table = self._file.table(section, row)
        self._file.refuse_unknown(section, table, (*schema.MODEL, "rates"))
        found = self._file.judged(section, table, schema.MODEL)
        free = found.pop("free", False)
        if "rates" not in table:
            return ModelSettings(**found, rates=schema.FREE if free else Override())
        rates = self.rates(f"{section}.rates", table["rates"])
        named = table["rates"] if isinstance(table["rates"], dict) else ("input", "output")
        if free:
            self._mistakes.add(place, "is free and has rates; leave one of them out")
        elif "input" not in named or "output" not in named:
            self._mistakes.add(place, "rates must name input and output at least")
        return ModelSettings(**found, rates=rates)
