"""Settings from real files and given environments: what loads, and what is refused with which words."""

import json
from pathlib import Path

import pytest

from quantized.core.ports import Override
from quantized.settings import Settings, SettingsError, Timeouts, load
from quantized.settings_providers import AnthropicSettings, BedrockProfile, BedrockSettings, ProviderSettings

KEY = "sk-or-very-secret"


def write(folder: Path, text: str) -> Path:
    path = folder / "quantized.toml"
    path.write_text(text)
    return path


def mistakes(path: Path | None, environ: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(environ or {}, path)
    for place, what in caught.value.mistakes:
        assert place in str(caught.value)
        assert what in str(caught.value)
    places = [place for place, _ in caught.value.mistakes]
    assert len(places) == len(set(places)), places
    return dict(caught.value.mistakes)


def test_nothing_at_all_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}) == Settings()


def test_the_default_file_is_read_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "port = 9000")
    assert load({}).port == 9000


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'host = "0.0.0.0"\nport = 1\n[timeouts]\nconnect = 1\nidle = 2.5\n[limits]\nbody_bytes = 2048',
    )
    settings = load(
        {
            "QUANTIZED_PORT": "9000",
            "QUANTIZED_DEMO": "false",
            "QUANTIZED_TIMEOUTS_CONNECT": "0.25",
            "QUANTIZED_LIMITS_BODY_BYTES": "4096",
            "QUANTIZED_CORS_ORIGINS": "https://a.example, http://localhost:3000",
            "QUANTIZED_CATALOG_MARKUP": "1.25",
        },
        path,
    )
    assert (settings.host, settings.port, settings.demo) == ("0.0.0.0", 9000, False)
    assert settings.timeouts == Timeouts(connect=0.25, idle=2.5)
    assert settings.limits.body_bytes == 4096
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.catalog.markup_bp == 12_500


def test_a_variable_names_another_file(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("port = 9001")
    assert load({"QUANTIZED_CONFIG": str(other)}).port == 9001


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert mistakes(None, {"QUANTIZED_CONFIG": str(missing)}) == {str(missing): "there is no such file"}
    assert mistakes(missing) == {str(missing): "there is no such file"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"port = ", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x = " + b"[" * 100_000, "is not TOML"),
        (b"port = " + b"9" * 5_000, "is not TOML"),
        (b"key_cache_seconds = 1e99999999999999999999999", "is not TOML"),
    ],
)
def test_a_file_that_is_not_toml(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "quantized.toml"
    path.write_bytes(content)
    assert mistakes(path)[str(path)].startswith(says)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in mistakes(tmp_path)[str(tmp_path)]
    assert "cannot be read" in mistakes(None, {"QUANTIZED_CONFIG": "a\0b"})["a\0b"]


def test_every_mistake_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
prot = 1
host = 5
[timeouts]
connect = 0
first_bite = 3
[catalog]
markup = 1.00001
[catalog.overrides.nobody."a/b"]
inptu = 1
[providers.demo]
[providers.openrouter]
[providers."Big Server"]
[providers.one]
base_url = "ftp://x"
api_key_env = "ONE_KEY"
output_cap_field = "max"
[providers.one.models."a/b"]
rates = { input = 1 }
[providers.one.models.c]
free = true
rates = { input = 1, output = -2 }
[providers.two]
""",
    )
    found = mistakes(
        path,
        {
            "QUANTIZED_PORT": "70000",
            "QUANTIZED_TIMEOUT_CONNECT": "3",
            "QUANTIZED_LOG_LEVEL": "loud",
            "QUANTIZED_DEFAULT_PROVIDER": "oen",
        },
    )
    assert found == {
        f"{path}: prot": "unknown setting; did you mean port?",
        f"{path}: host": "must be an address or a host name, not 5",
        f"{path}: [timeouts] connect": "must be a number of seconds above 0 and up to 86400, not 0",
        f"{path}: [timeouts] first_bite": "unknown setting; did you mean first_byte?",
        f"{path}: [catalog] markup": "must have at most 4 decimals, not 1.00001",
        f"{path}: [catalog.overrides.nobody]": (
            "unknown provider; known are anthropic, bedrock, demo, one, openrouter, two"
        ),
        f'{path}: [catalog.overrides.nobody."a/b"] inptu': "unknown setting; did you mean input?",
        f"{path}: [providers.demo]": "the name is that of the built-in demo; choose another",
        f"{path}: [providers.openrouter]": (
            "is set up by OPENROUTER_API_KEY and OPENROUTER_BASE_URL; rates by [catalog.overrides]"
        ),
        f'{path}: [providers."Big Server"]': (
            "a name is lower-case letters, digits, _ and -, a letter or digit first"
        ),
        f"{path}: [providers.one] base_url": "must be an absolute http:// or https:// address",
        f"{path}: [providers.one] api_key_env": (
            "the variable ONE_KEY is not set; set it, or leave api_key_env out if no key is needed"
        ),
        f"{path}: [providers.one] output_cap_field": (
            "must be one of max_tokens, max_completion_tokens, not 'max'"
        ),
        f'{path}: [providers.one.models."a/b"]': "rates must name input and output at least",
        f"{path}: [providers.one.models.c]": "is free and has rates; leave one of them out",
        f"{path}: [providers.one.models.c.rates] output": (
            "must be credits per million tokens, from 0 to 1000000, with 6 decimals at most, not -2"
        ),
        f"{path}: [providers.two] base_url": "is missing; must be an absolute http:// or https:// address",
        "QUANTIZED_PORT": "must be an integer from 0 to 65535, not 70000",
        "QUANTIZED_TIMEOUT_CONNECT": "unknown variable; did you mean QUANTIZED_TIMEOUTS_CONNECT?",
        "QUANTIZED_LOG_LEVEL": "must be one of debug, info, warning, error, not 'loud'",
        "QUANTIZED_DEFAULT_PROVIDER": "unknown provider 'oen'; did you mean one?",
    }


@pytest.mark.parametrize(
    "line",
    [
        "port = true",
        'port = "8080"',
        "port = 80.0",
        "port = 65536",
        'host = ""',
        'host = "a b"',
        "demo = 1",
        "key_cache_seconds = 5.1",
        "key_cache_seconds = -1",
        "key_cache_seconds = nan",
        "keep_alive_seconds = inf",
        "keep_alive_seconds = 1e-999999999",
        "keep_alive_seconds = true",
        "shutdown_seconds = 1979-05-27",
        'cors_origins = "https://a.example"',
        'cors_origins = ["https://a.example/"]',
        'cors_origins = ["a.example"]',
        'cors_origins = ["https://u:p@a.example"]',
        'cors_origins = ["https://a.example:99999"]',
        "cors_origins = [1]",
        "timeouts = 3",
        "providers = 3",
        "catalog = []",
        "catalog = { overrides = 1 }",
        "catalog = { markup = 0 }",
        "catalog = { markup = 1e-99999999 }",
        "limits = { body_depth = 100000 }",
        "retries = { attempts = -1 }",
        'database_url = ""',
        'providers.one = { base_url = "http://x", output_cap_required = "yes" }',
        'providers.one = { base_url = "http://x", unsigned_calls = "x" }',
        'providers.one = { base_url = "http://x", unsigned_calls = {} }',
        'providers.one = { base_url = "http://x", unsigned_calls = { a = 1.5 } }',
        'providers.one = { base_url = "http://x", unsigned_calls = { a = 2026-01-01 } }',
        f'providers.one = {{ base_url = "http://x", unsigned_calls = {{ a = "{"x" * 2048}" }} }}',
    ],
)
def test_values_that_are_refused(tmp_path: Path, line: str) -> None:
    assert len(mistakes(write(tmp_path, line))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("QUANTIZED_PORT", ""),
        ("QUANTIZED_PORT", "tcp://10.0.0.1:8080"),
        ("QUANTIZED_PORT", "８０８０"),
        ("QUANTIZED_PORT", "9" * 5_000),
        ("QUANTIZED_DEMO", "maybe"),
        ("QUANTIZED_TIMEOUTS_IDLE", "1_000"),
        ("QUANTIZED_TIMEOUTS_IDLE", "nan"),
        ("QUANTIZED_TIMEOUTS_IDLE", "1e999"),
        ("QUANTIZED_CORS_ORIGINS", "https://a.example,,"),
        ("QUANTIZED_HOST", "\udcff"),
        ("OPENROUTER_BASE_URL", "openrouter.ai"),
        ("QUANTIZED_", "x"),
    ],
)
def test_variables_that_are_refused(tmp_path: Path, name: str, text: str) -> None:
    found = mistakes(write(tmp_path, ""), {name: text})
    assert list(found) == [name]
    assert all(line.encode() and len(line) < 400 for line in found.values())


def test_openrouter_is_there_exactly_when_its_key_is_set(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert load({}, path).providers == {}
    assert load({"OPENROUTER_API_KEY": ""}, path).providers == {}
    assert load({"OPENROUTER_API_KEY": KEY}, path).providers == {
        "openrouter": ProviderSettings(base_url="https://openrouter.ai/api/v1", api_key=KEY)
    }
    elsewhere = load({"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": "http://[::1]:9/v1"}, path)
    assert elsewhere.providers["openrouter"].base_url == "http://[::1]:9/v1"


def test_anthropic_is_there_when_its_key_is_set(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert load({"ANTHROPIC_API_KEY": ""}, path).providers == {}
    environ = {"ANTHROPIC_API_KEY": KEY}
    assert load(environ, path).providers == {
        "anthropic": AnthropicSettings("https://api.anthropic.com", KEY, "continued")
    }
    elsewhere = load({**environ, "ANTHROPIC_BASE_URL": "http://[::1]:9"}, path).providers["anthropic"]
    assert elsewhere.base_url == "http://[::1]:9"
    assert load({**environ, "ANTHROPIC_BASE_URL": ""}, path).providers == load(environ, path).providers


def test_anthropics_table_says_more_and_the_environment_wins(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
default_provider = "anthropic"
[providers.anthropic]
base_url = "https://relay.example.edu"
api_key_env = "QUANTIZED_CLAUDE_KEY"
caching = "always"
web_searches = 10
""",
    )
    settings = load({"QUANTIZED_CLAUDE_KEY": KEY, "ANTHROPIC_API_KEY": "another"}, path)
    assert settings.providers == {
        "anthropic": AnthropicSettings("https://relay.example.edu", KEY, "always", 10)
    }
    there = load({"QUANTIZED_CLAUDE_KEY": KEY, "ANTHROPIC_BASE_URL": "https://x.example"}, path)
    assert there.providers["anthropic"].base_url == "https://x.example"
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("table", "at", "says"),
    [
        (
            "",
            "[providers.anthropic]",
            "the variable ANTHROPIC_API_KEY is not set; set it, or take the table out",
        ),
        ('api_key_env = "NO_KEY"', "[providers.anthropic] api_key_env", "the variable NO_KEY is not set"),
        ('caching = "sometimes"', "[providers.anthropic] caching", "must be one of off, continued, always"),
        ("web_searches = 0", "[providers.anthropic] web_searches", "must be an integer from 1 to 10"),
        ("web_searches = 11", "[providers.anthropic] web_searches", "must be an integer from 1 to 10"),
        ('base_url = "claude"', "[providers.anthropic] base_url", "must be an absolute http://"),
        ("models = {}", "[providers.anthropic] models", "unknown setting"),
        ('output_cap_field = "max_tokens"', "[providers.anthropic] output_cap_field", "unknown setting"),
    ],
)
def test_mistakes_in_anthropics_table(tmp_path: Path, table: str, at: str, says: str) -> None:
    path = write(tmp_path, f"[providers.anthropic]\n{table}")
    environ = {} if "variable" in says else {"ANTHROPIC_API_KEY": KEY}
    found = mistakes(path, environ)
    assert list(found) == [f"{path}: {at}"]
    assert found[f"{path}: {at}"].startswith(says)


def test_an_unusable_address_or_key_is_told_by_its_variable_once(tmp_path: Path) -> None:
    for table in ("", "[providers.anthropic]"):
        path = write(tmp_path, table)
        found = mistakes(path, {"ANTHROPIC_API_KEY": f"{KEY}\n", "ANTHROPIC_BASE_URL": f"http://{KEY}@x"})
        assert list(found) == ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"]
        assert KEY not in str(found)


TOKEN = {"AWS_BEARER_TOKEN_BEDROCK": KEY}
REGION = {"AWS_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    ("table", "environ", "row"),
    [
        ("", REGION, None),
        ("", REGION | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_PROFILE": "c"}, None),
        ("", REGION | {"AWS_BEARER_TOKEN_BEDROCK": ""}, None),
        ("", REGION | TOKEN, BedrockSettings("eu-west-1", bearer_token=KEY)),
        ("", REGION | {"QUANTIZED_PROVIDERS_BEDROCK_ENABLED": "true"}, BedrockSettings("eu-west-1")),
        ("", REGION | TOKEN | {"QUANTIZED_PROVIDERS_BEDROCK_ENABLED": "false"}, None),
        (
            "",
            REGION | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:9"},
            BedrockSettings("eu-west-1", endpoint="http://127.0.0.1:9"),
        ),
        ("[providers.bedrock]", REGION | TOKEN, BedrockSettings("eu-west-1", bearer_token=KEY)),
        ("[providers.bedrock]", {"AWS_DEFAULT_REGION": "us-east-2"}, BedrockSettings("us-east-2")),
        ("[providers.bedrock]", REGION | {"AWS_DEFAULT_REGION": "us-east-2"}, BedrockSettings("eu-west-1")),
        ("[providers.bedrock]\nenabled = false", REGION | TOKEN, None),
        ("[providers.bedrock]\nenabled = false", {}, None),
        (
            '[providers.bedrock]\nregion = "us-gov-west-1"\nprofile = "p"\n'
            'caching = "off"\nfetch_images = true',
            REGION,
            BedrockSettings("us-gov-west-1", "p", None, None, "off", True),
        ),
        (
            '[providers.bedrock]\ngeography = "none"\nmarkup = 1.25\n'
            '[providers.bedrock.profiles."arn:aws:x"]\nmodel = "a/m"\n'
            '[providers.bedrock.profiles."arn:aws:y"]\nmodel = "a/m"\nrates = { input = 1, output = 2 }',
            REGION | {"QUANTIZED_PROVIDERS_BEDROCK_GEOGRAPHY": "eu"},
            BedrockSettings(
                "eu-west-1",
                geography="eu",
                markup_bp=12_500,
                profiles={
                    "arn:aws:x": BedrockProfile("a/m"),
                    "arn:aws:y": BedrockProfile("a/m", Override(input=1_000_000, output=2_000_000)),
                },
            ),
        ),
    ],
)
def test_bedrock_is_set_up_where_somebody_says_so(
    tmp_path: Path, table: str, environ: dict[str, str], row: BedrockSettings | None
) -> None:
    """Credentials and a region alone say nothing: they may be there for something else."""
    path = write(tmp_path, table)
    assert load(environ, path).providers == ({} if row is None else {"bedrock": row})
    assert KEY not in repr(load(environ, path))


@pytest.mark.parametrize(
    ("table", "environ", "place"),
    [
        ("", TOKEN, "{path}: [providers.bedrock] region"),
        ("[providers.bedrock]", {}, "{path}: [providers.bedrock] region"),
        ('[providers.bedrock]\nregion = "Frankfurt"', {}, "{path}: [providers.bedrock] region"),
        ('[providers.bedrock]\nregoin = "eu-west-1"', REGION, "{path}: [providers.bedrock] regoin"),
        ("[providers.bedrock]", {"AWS_REGION": "here"}, "AWS_REGION"),
        ('[providers.bedrock]\ngeography = "mars"', REGION, "{path}: [providers.bedrock] geography"),
        (
            '[providers.bedrock.profiles."arn:x"]',
            REGION,
            '{path}: [providers.bedrock.profiles."arn:x"] model',
        ),
        (
            '[providers.bedrock.profiles.mine]\nmodel = "a/m"',
            REGION,
            "{path}: [providers.bedrock.profiles] mine",
        ),
        (
            '[providers.bedrock.profiles."arn:x"]\nmodle = "a/m"\nmodel = "a/m"',
            REGION,
            '{path}: [providers.bedrock.profiles."arn:x"] modle',
        ),
        ("[providers.bedrock]", REGION | {"AWS_BEARER_TOKEN_BEDROCK": "a b"}, "AWS_BEARER_TOKEN_BEDROCK"),
        ("", REGION | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "x"}, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        (
            "",
            REGION | TOKEN | {"QUANTIZED_PROVIDERS_BEDROCK_FETCH_IMAGES": "?"},
            "QUANTIZED_PROVIDERS_BEDROCK_FETCH_IMAGES",
        ),
        ("", REGION | {"QUANTIZED_PROVIDERS_BEDROCK_ENABLE": "true"}, "QUANTIZED_PROVIDERS_BEDROCK_ENABLE"),
    ],
)
def test_what_is_wrong_with_bedrock_is_told_in_its_place(
    tmp_path: Path, table: str, environ: dict[str, str], place: str
) -> None:
    path = write(tmp_path, table)
    assert list(mistakes(path, environ)) == [place.format(path=path)]
    if "region" in place:
        assert load(environ, path, need_keys=False) if "Frankfurt" not in table else True


def test_a_default_provider_must_be_there(tmp_path: Path) -> None:
    assert load({"OPENROUTER_API_KEY": KEY}, write(tmp_path, 'default_provider = "openrouter"'))
    path = write(tmp_path, 'default_provider = "openrouter"')
    assert mistakes(path) == {
        f"{path}: default_provider": "is openrouter, which is not set up; set OPENROUTER_API_KEY"
    }
    path = write(tmp_path, 'default_provider = "anthropic"')
    assert mistakes(path) == {
        f"{path}: default_provider": "is anthropic, which is not set up; set ANTHROPIC_API_KEY, "
        "or write a table [providers.anthropic]"
    }
    assert load({"ANTHROPIC_API_KEY": KEY}, path).default_provider == "anthropic"
    assert load({}, write(tmp_path, 'default_provider = "demo"')).default_provider == "demo"
    assert len(mistakes(write(tmp_path, 'default_provider = "demo"\ndemo = false'))) == 1


def test_a_server_of_ones_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
default_provider = "local-1"
[providers.local-1]
base_url = "https://llm.example.edu:8443/v1/"
api_key_env = "QUANTIZED_LOCAL_KEY"
output_cap_field = "max_completion_tokens"
output_cap_required = true
stream_usage = false
reasoning_field = "reasoning_content"
unsigned_calls = { google = { thought_signature = "ä", n = [1, true] } }
[providers.local-1.models."meta/llama"]
native_id = "llama3:8b"
context_window = 8192
features = ["tool_calls"]
rates = { input = 0.15, output = 1, cached_read = 0.000001, request = 0.000000000001, web_search = 0.01 }
[providers.local-1.models."meta/free"]
free = true
[providers.local-1.models."meta/unpriced"]
[catalog.overrides.local-1."meta/llama"]
output = 2.5
""",
    )
    settings = load({"QUANTIZED_LOCAL_KEY": KEY}, path)
    provider = settings.providers["local-1"]
    assert (provider.base_url, provider.api_key) == ("https://llm.example.edu:8443/v1/", KEY)
    assert (provider.output_cap_field, provider.output_cap_required) == ("max_completion_tokens", True)
    assert (provider.stream_usage, provider.reasoning_field) == (False, "reasoning_content")
    assert json.loads(provider.unsigned_calls or "") == {"google": {"thought_signature": "ä", "n": [1, True]}}
    llama = provider.models["meta/llama"]
    assert (llama.native_id, llama.context_window, llama.features) == ("llama3:8b", 8192, ("tool_calls",))
    assert llama.rates == Override(
        input=150_000, output=1_000_000, cached_read=1, request=1, web_search=10_000_000_000
    )
    assert provider.models["meta/free"].rates == Override(**dict.fromkeys(Override.__struct_fields__, 0))
    assert provider.models["meta/unpriced"].rates == Override()
    assert settings.catalog.overrides == {"local-1": {"meta/llama": Override(output=2_500_000)}}


def test_a_rate_is_exact_or_a_mistake(tmp_path: Path) -> None:
    model = (
        '[providers.x]\nbase_url = "http://x"\n[providers.x.models.m]\nrates = {{ input = {}, output = 0 }}'
    )
    for exact, kept in (
        ("1000000", 10**12),
        ("0.1", 100_000),
        ("1e-6", 1),
        ("1.50e1", 15_000_000),
        ("0.0", 0),
    ):
        settings = load({}, write(tmp_path, model.format(exact)))
        assert settings.providers["x"].models["m"].rates.input == kept
    for inexact in ("0.0000001", "0.1000000000000000000000000000000001", "1000000.1", "-0.1", "nan", '"1"'):
        assert len(mistakes(write(tmp_path, model.format(inexact)))) == 1


@pytest.mark.parametrize(
    "provider",
    [
        f'base_url = "https://user:{KEY}@x.example/v1"',
        f'base_url = "https://x.example/v1?key={KEY}"',
        f'base_url = "https://x.example/v1#{KEY}"',
        f'base_url = "{KEY}"',
        f'base_url = "https://{KEY}:port/"',
        f'base_url = "https://x.example"\napi_key = "{KEY}"',
        f'base_url = "https://x.example"\napi_key_env = "{KEY}"',
        'base_url = "https://x.example"\napi_key_env = "BROKEN"',
    ],
)
def test_a_secret_is_never_repeated(tmp_path: Path, provider: str) -> None:
    environ = {
        "BROKEN": f"{KEY}\n",
        "OPENROUTER_API_KEY": f" {KEY}",
        "OPENROUTER_BASE_URL": f"http://{KEY}@x",
    }
    path = write(tmp_path, f'database_url = "postgresql://u:{KEY} @h"\n[providers.x]\n{provider}')
    with pytest.raises(SettingsError) as caught:
        load(environ, path)
    assert len(caught.value.mistakes) == 4
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)


def test_settings_do_not_print_their_keys(tmp_path: Path) -> None:
    from rich.pretty import pretty_repr

    settings = load({"OPENROUTER_API_KEY": KEY}, write(tmp_path, ""))
    for printed in (repr(settings), str(settings), pretty_repr(settings), repr(settings.providers)):
        assert "openrouter.ai" in printed
        assert KEY not in printed
    assert repr(ProviderSettings("http://x")) == (
        "ProviderSettings(base_url='http://x', api_key=None, models={}, output_cap_field='max_tokens', "
        "output_cap_required=False, stream_usage=True, reasoning_field=None, unsigned_calls=None)"
    )


def test_who_administers_needs_no_keys(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'default_provider = "openrouter"\n[providers.x]\nbase_url = "http://x"\napi_key_env = "X_KEY"',
    )
    assert len(mistakes(path)) == 2
    settings = load({}, path, need_keys=False)
    assert settings.providers == {"x": ProviderSettings(base_url="http://x")}
    path = write(tmp_path, 'default_provider = "anthropic"\n[providers.anthropic]')
    assert load({}, path, need_keys=False).providers == {"anthropic": AnthropicSettings()}
