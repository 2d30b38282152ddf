"""What each family of models takes through Converse: rows of published facts, no code.

The facts are those of AWS's pages on Converse, its model parameters, prompt caching, structured output and
the model cards; of Anthropic's models, those of their maker. Converse itself refuses a field that a model has
not, so a row only has to be sure where something would be ignored, or is spelled in the model's own way.
"""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from quantized.providers.anthropic.models import Abilities, known

ToolMode = Literal["any", "tool"]


class TopK(Struct, frozen=True):
    """`path`: where it goes in `additionalModelRequestFields`. From `least` to `most`."""

    path: tuple[str, ...]
    least: int
    most: int


class Family(Struct, frozen=True):
    """`name` tells whose reasoning can be read by whom. Limits in tokens, None where they are not published.

    `streams_tools`: an answer can be streamed although tools are told of; not assumed of a model that nobody
    says it of. `forced`: the ways in which a call can be demanded. `one_call`: parallel calls can be turned
    off.
    `media_in_results`: images and documents in a tool's result. `json_results`: a tool's result is read as
    JSON, not as text. `sampling`: temperature and top_p; one of the two; or neither, nor top_k.
    `reasoning`: in whose words it is asked for; `fixed` is asked for by the choice of the model.
    `efforts`: the levels there are. `schemas`: structured output and strict tools.
    `caching`: nothing, cache points, or cache points with a lifetime; `caches_tools`: among tools as well.
    `cacheable`: the shortest prefix that is cached. `prefill`: a last turn of the assistant's is continued.
    `claude`: what Anthropic says of the model.
    """

    name: str
    known: bool = True
    system: bool = True
    tools: bool = True
    streams_tools: bool = False
    forced: tuple[ToolMode, ...] = ()
    one_call: bool = False
    images: bool = False
    documents: bool = True
    audio: bool = False
    media_in_results: bool = False
    json_results: bool = False
    top_k: TopK | None = None
    sampling: Literal["both", "one", "neither"] = "both"
    stop: bool = True
    reasoning: Literal["none", "fixed", "claude", "nova", "object", "flat", "toggle"] = "none"
    efforts: tuple[str, ...] = ()
    schemas: bool = False
    caching: Literal["none", "points", "lifetimes"] = "none"
    caches_tools: bool = False
    cacheable: int = 1_024
    prefill: bool = False
    max_output_tokens: int | None = None
    context_window: int | None = None
    claude: Abilities | None = None


_THREE = ("low", "medium", "high")
_ANY: tuple[ToolMode, ...] = ("any",)
_BOTH: tuple[ToolMode, ...] = ("any", "tool")

UNKNOWN = Family(
    "unknown", known=False, forced=_BOTH, images=True, audio=True, media_in_results=True, prefill=True
)
"""A model that no row describes, or whose id tells nothing (an application inference profile, an imported
model). Converse's own fields are sent, and Converse refuses what the model has not; what would have to be
spelled in the model's own way is refused here."""

_NOVA = Family(
    "nova",
    streams_tools=True,
    forced=_BOTH,
    images=True,
    media_in_results=True,
    top_k=TopK(("inferenceConfig", "topK"), 0, 128),
    caching="points",
    prefill=True,
    max_output_tokens=10_000,
    context_window=300_000,
)
_LLAMA = Family("llama", max_output_tokens=8_192, context_window=128_000)
_LLAMA_4 = replace(
    _LLAMA, images=True, media_in_results=True, max_output_tokens=16_384, context_window=1_000_000
)
_LLAMA_3_2_SEES = replace(_LLAMA, images=True)
_MISTRAL = Family(
    "mistral", json_results=True, schemas=True, forced=_ANY, max_output_tokens=8_192, context_window=128_000
)
_MISTRAL_OLD = replace(
    _MISTRAL,
    schemas=False,
    forced=(),
    tools=False,
    system=False,
    top_k=TopK(("top_k",), 1, 200),
    context_window=32_000,
)
_DEEPSEEK = Family("deepseek", max_output_tokens=32_768, context_window=128_000)
_QWEN = Family(
    "qwen", streams_tools=True, schemas=True, forced=_ANY, max_output_tokens=65_536, context_window=262_144
)
_GPT_OSS = Family(
    "gpt-oss",
    streams_tools=True,
    forced=_BOTH,
    stop=False,
    schemas=True,
    reasoning="flat",
    efforts=_THREE,
    max_output_tokens=16_384,
    context_window=128_000,
)
_GPT = Family(
    "gpt",
    streams_tools=True,
    forced=_BOTH,
    images=True,
    schemas=True,
    reasoning="object",
    efforts=("none", *_THREE, "xhigh", "max"),
    max_output_tokens=128_000,
    context_window=1_000_000,
)
_COHERE = Family(
    "cohere", streams_tools=True, top_k=TopK(("k",), 0, 500), max_output_tokens=4_000, context_window=128_000
)
_JAMBA = Family("jamba", streams_tools=True, max_output_tokens=4_096, context_window=256_000)
_KIMI = Family(
    "kimi",
    streams_tools=True,
    images=True,
    schemas=True,
    forced=_ANY,
    max_output_tokens=16_000,
    context_window=262_144,
)

_ROWS: tuple[tuple[str, Family], ...] = (
    (
        r"amazon\.nova-2-",
        replace(_NOVA, reasoning="nova", efforts=_THREE, max_output_tokens=64_000, context_window=1_000_000),
    ),
    (r"amazon\.nova-micro", replace(_NOVA, images=False, documents=False, context_window=128_000)),
    (r"amazon\.nova-premier", replace(_NOVA, context_window=1_000_000)),
    (r"amazon\.nova-", _NOVA),
    (
        r"amazon\.titan-text",
        Family("titan", system=False, tools=False, max_output_tokens=4_096, context_window=8_192),
    ),
    (r"meta\.llama4-scout", replace(_LLAMA_4, context_window=3_500_000)),
    (r"meta\.llama4-", _LLAMA_4),
    (r"meta\.llama3-2-(?:11|90)b", _LLAMA_3_2_SEES),
    (r"meta\.llama3-2-", replace(_LLAMA, tools=False)),
    (r"meta\.llama3-\d-", _LLAMA),
    (r"meta\.llama3-", replace(_LLAMA, tools=False, max_output_tokens=2_048, context_window=8_192)),
    (r"mistral\.(?:mistral-7b|mixtral)", _MISTRAL_OLD),
    (r"mistral\.mistral-small-24", replace(_MISTRAL_OLD, system=True, tools=True, forced=_ANY)),
    (r"mistral\.mistral-large-24", replace(_MISTRAL, schemas=False)),
    (r"mistral\.mistral-large-", replace(_MISTRAL, images=True, context_window=256_000)),
    (r"mistral\.pixtral", replace(_MISTRAL, images=True, schemas=False)),
    (r"mistral\.ministral", replace(_MISTRAL, images=True, max_output_tokens=4_096)),
    (r"mistral\.magistral", replace(_MISTRAL, images=True, reasoning="fixed", max_output_tokens=40_000)),
    (r"mistral\.voxtral", replace(_MISTRAL, audio=True, context_window=32_000)),
    (r"mistral\.devstral", replace(_MISTRAL, context_window=256_000)),
    (r"mistral\.", _MISTRAL),
    (r"deepseek\.r1", replace(_DEEPSEEK, tools=False, reasoning="fixed")),
    (
        r"deepseek\.v3",
        replace(
            _DEEPSEEK,
            forced=_ANY,
            schemas=True,
            reasoning="flat",
            efforts=("none", *_THREE),
            max_output_tokens=81_920,
            context_window=163_840,
        ),
    ),
    (r"qwen\.qwen3-vl", replace(_QWEN, images=True)),
    (r"qwen\.qwen3-32b", replace(_QWEN, max_output_tokens=16_384, context_window=32_768)),
    (r"qwen\.", _QWEN),
    (r"openai\.gpt-oss", _GPT_OSS),
    # The first of the sixth generation always reasons.
    (r"openai\.gpt-6-astra", replace(_GPT, efforts=(*_THREE, "xhigh", "max"))),
    (r"openai\.gpt-", _GPT),
    (r"cohere\.command-r", _COHERE),
    (r"ai21\.jamba", _JAMBA),
    (r"writer\.palmyra", Family("palmyra", max_output_tokens=8_192, context_window=128_000)),
    # The thinking of its second generation is on or off; that of the third has levels and no off.
    (r"moonshot(?:ai)?\.kimi-k2-thinking", replace(_KIMI, images=False, reasoning="fixed")),
    (r"moonshot(?:ai)?\.kimi-k2", replace(_KIMI, reasoning="toggle", efforts=("none",))),
    (
        r"moonshot(?:ai)?\.kimi-k",
        replace(
            _KIMI,
            reasoning="object",
            efforts=("low", "high", "max"),
            max_output_tokens=131_072,
            context_window=1_000_000,
        ),
    ),
    (
        r"zai\.glm-5\.[3-9]",
        Family(
            "glm",
            streams_tools=True,
            reasoning="flat",
            efforts=("low", "high", "max"),
            max_output_tokens=131_072,
            context_window=1_000_000,
        ),
    ),
    (
        r"zai\.glm-",
        Family(
            "glm", streams_tools=True, reasoning="fixed", max_output_tokens=98_304, context_window=200_000
        ),
    ),
    (
        r"minimax\.",
        Family(
            "minimax",
            schemas=True,
            streams_tools=True,
            reasoning="fixed",
            max_output_tokens=98_304,
            context_window=196_608,
        ),
    ),
    (
        r"google\.gemma",
        Family("gemma", images=True, schemas=True, max_output_tokens=8_192, context_window=128_000),
    ),
    (
        r"nvidia\.nemotron",
        Family("nemotron", schemas=True, max_output_tokens=131_072, context_window=262_144),
    ),
)
_COMPILED = tuple((re.compile(pattern), row) for pattern, row in _ROWS)

_GEOS = frozenset({"apac", "au", "ca", "eu", "global", "in", "jp", "regional", "us", "us-gov"})
_UNCACHED = re.compile(r"claude-(?:3-(?:haiku|sonnet|opus)|3-5-sonnet|v2|instant)")


def base_id(model: str) -> str:
    """`author.model` of an id, an inference profile's id or an ARN; what cannot be read as one stays as it
    is."""
    name = model.rpartition("/")[2] if model.startswith("arn:") else model
    geo, dot, rest = name.partition(".")
    return rest if dot and geo in _GEOS else name


@lru_cache(maxsize=256)
def family_of(model: str) -> Family:
    """The row of a model by its id, its inference profile's id or its ARN. One that no row describes is a
    family of its own."""
    base = base_id(model)
    if base.startswith("anthropic.claude"):
        return _claude(base)
    found = next((row for pattern, row in _COMPILED if pattern.match(base)), None)
    return replace(UNKNOWN, name=base) if found is None else found


def _claude(base: str) -> Family:
    # What follows a colon counts revisions, not versions.
    abilities = known(base.removeprefix("anthropic.").partition(":")[0])
    cached = _UNCACHED.search(base) is None
    newer = abilities.schemas
    return Family(
        "anthropic",
        streams_tools=True,
        forced=_BOTH if abilities.forced_tools else (),
        one_call=newer,
        images=abilities.images,
        media_in_results=True,
        top_k=TopK(("top_k",), 0, 500),
        sampling=abilities.sampling,
        reasoning="none" if abilities.thinking == "none" else "claude",
        efforts=abilities.efforts,
        schemas=abilities.schemas,
        caching="none" if not cached else "lifetimes" if newer else "points",
        caches_tools=cached,
        cacheable=abilities.cacheable,
        prefill=abilities.prefill,
        tools=abilities.images,
        max_output_tokens=abilities.max_output_tokens,
        context_window=abilities.context_window,
        claude=abilities,
    )
