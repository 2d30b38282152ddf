"""The model of the built-in demo provider, with rates that make its credits worth watching."""

from quantized.catalog.model import Modality, Model, Rates

DEMO_MODEL = Model(
    id="quantized/demo",
    provider="demo",
    native_id="quantized/demo",
    name="Quantized: Demo",
    author="quantized",
    description=(
        "Answers without any provider's account: deterministic, streams word by word, calls tools and fills "
        "JSON schemas. For a first try, for tests and for load."
    ),
    rates=Rates(
        input=1_000_000,
        output=4_000_000,
        cached_read=250_000,
        cache_write=1_250_000,
        cache_write_1h=2_000_000,
        input_audio=2_000_000,
        reasoning=4_000_000,
        output_audio=8_000_000,
        output_image=8_000_000,
    ),
    context_window=131_072,
    max_output_tokens=8_192,
    input_modality=Modality(image=True, audio=True),
    features=("tool_calls", "structured_output", "reasoning"),
    created=1_735_689_600,
)
