"""`quantized.toml.example` documents every setting, and says the truth about it."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from quantized.core.ports import Override
from quantized.settings import CatalogSettings, Settings, load
from quantized.settings_providers import (
    AnthropicSettings,
    BedrockProfile,
    BedrockSettings,
    ModelSettings,
    ProviderSettings,
)
from quantized.settings_schema import (
    ANTHROPIC,
    BEDROCK,
    BEDROCK_PROFILE,
    MODEL,
    PROVIDER,
    RATES,
    SCALARS,
    TABLES,
)

EXAMPLE = Path(__file__).parents[2] / "quantized.toml.example"
ENVIRON = {"OPENROUTER_API_KEY": "k1", "CAMPUS_API_KEY": "k2", "ANTHROPIC_API_KEY": "k3"}


def uncommented() -> str:
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(line[1:] if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in lines)


def written() -> dict[str, Any]:
    return tomllib.loads(uncommented(), parse_float=Decimal)


def test_as_it_is_it_sets_nothing() -> None:
    assert tomllib.loads(EXAMPLE.read_text()) == {}
    assert load({}, EXAMPLE) == Settings()


def test_it_documents_every_setting_and_nothing_else() -> None:
    example = written()
    for section, kinds in SCALARS.items():
        table = example[section] if section else example
        assert set(table) == {*kinds, *TABLES.get(section, ())}
    assert set(example["providers"]["anthropic"]) == set(ANTHROPIC)
    bedrock = example["providers"]["bedrock"]
    assert set(bedrock) == {*BEDROCK, "profiles"}
    assert {key for row in bedrock["profiles"].values() for key in row} == {*BEDROCK_PROFILE, "rates"}
    campus = example["providers"]["campus"]
    assert set(campus) == {*PROVIDER, "models"}
    assert {key for model in campus["models"].values() for key in model} == {*MODEL, "rates"}
    assert set(example["catalog"]["overrides"]["openrouter"]["openai/gpt-4.1-mini"]) == set(RATES)


def test_uncommented_it_loads_to_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "quantized.toml"
    path.write_text(uncommented())
    settings = load(ENVIRON, path)
    zero = Override(**dict.fromkeys(RATES, 0))
    assert settings == Settings(
        catalog=CatalogSettings(
            overrides={
                "openrouter": {
                    "openai/gpt-4.1-mini": Override(
                        input=400_000,
                        cached_read=100_000,
                        cache_write=400_000,
                        cache_write_1h=400_000,
                        input_audio=400_000,
                        output=1_600_000,
                        reasoning=1_600_000,
                        output_audio=1_600_000,
                        output_image=1_600_000,
                        request=0,
                        web_search=10_000_000_000,
                    )
                }
            }
        ),
        providers={
            "campus": ProviderSettings(
                base_url="http://127.0.0.1:11434/v1",
                reasoning_field="reasoning_content",
                api_key="k2",
                unsigned_calls='{"google": {"thought_signature": "skip_thought_signature_validator"}}',
                models={
                    "meta-llama/llama-3.1-8b-instruct": ModelSettings(
                        rates=Override(input=50_000, output=80_000),
                        native_id="llama3.1:8b",
                        name="Llama 3.1 8B",
                        context_window=131_072,
                        max_output_tokens=8_192,
                        features=("tool_calls", "structured_output"),
                    ),
                    "qwen/qwen2.5-vl-7b": ModelSettings(rates=zero, image=True),
                },
            ),
            "anthropic": AnthropicSettings(api_key="k3"),
            "bedrock": BedrockSettings(
                "us-east-1",
                "default",
                geography="us",
                markup_bp=10_000,
                profiles={
                    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/fm16bt65tzgx": (
                        BedrockProfile(
                            "anthropic/claude-sonnet-4.5", Override(input=3_300_000, output=16_500_000)
                        )
                    )
                },
            ),
            "openrouter": ProviderSettings(base_url="https://openrouter.ai/api/v1", api_key="k1"),
        },
    )


def test_every_default_it_shows_is_the_default() -> None:
    """The loaded example equals the defaults; this says that it does not do so by leaving values out."""
    example, defaults = written(), Settings()
    for section, kinds in SCALARS.items():
        table = example[section] if section else example
        holder = getattr(defaults, section) if section else defaults
        for key in kinds:
            shown = table[key]
            if key == "markup":
                assert shown * 10_000 == holder.markup_bp
            else:
                default = getattr(holder, key)
                assert shown == (list(default) if isinstance(default, tuple) else default)
