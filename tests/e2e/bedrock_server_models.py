"""What the imitated Bedrock knows of its models: a table of its own, so that it can contradict ours."""

from typing import Literal, NamedTuple

from anthropic_server_models import MODELS as CLAUDES
from anthropic_server_models import ServedModel

REGION, ACCOUNT = "us-east-1", "123456789012"


class Model(NamedTuple):
    """`ways`: by which prefixes it is reached, "" for its own id. `choices`: of tools, beside `auto`.
    `top_k`: where in the additional fields. `caches`: cache points, and those of an hour."""

    rules: ServedModel
    family: str
    ways: tuple[str, ...] = ("",)
    system: bool = True
    tools: bool = True
    streams_tools: bool = False
    choices: tuple[str, ...] = ("any", "tool")
    images: bool = True
    documents: bool = True
    results: Literal["any", "text", "json"] = "any"
    top_k: tuple[str, ...] | None = None
    caches: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    """Further members of the additional fields."""
    stops: bool = True


_CLAUDE = Model(
    CLAUDES["claude-opus-4-8"],
    "anthropic",
    ("us.", "global."),
    streams_tools=True,
    top_k=("top_k",),
    caches=("5m", "1h"),
    extras=("thinking", "tool_choice", "anthropic_beta"),
)


def _claude(name: str, *ways: str, caches: tuple[str, ...] = ("5m", "1h")) -> Model:
    return _CLAUDE._replace(rules=CLAUDES[name], ways=ways or _CLAUDE.ways, caches=caches)


def _other(family: str, output: int, **more: object) -> Model:
    named = {name: more.pop(name) for name in ServedModel._fields if name in more}
    rules = ServedModel(output=output, prefill=False)._replace(**named)
    return Model(rules, family)._replace(**more)


_GPT_OSS = _other(
    "gpt-oss",
    16_384,
    streams_tools=True,
    images=False,
    stops=False,
    schemas=True,
    thinking="adaptive",
    by_default=True,
    extras=("reasoning_effort",),
)

MODELS: dict[str, Model] = {
    "anthropic.claude-3-haiku-20240307-v1:0": _claude("claude-3-haiku-20240307", "", "us.", caches=()),
    "anthropic.claude-3-7-sonnet-20250219-v1:0": _claude("claude-3-7-sonnet-20250219", "us.", caches=("5m",)),
    "anthropic.claude-sonnet-4-20250514-v1:0": _claude("claude-sonnet-4-20250514", caches=("5m",)),
    "anthropic.claude-sonnet-4-5-20250929-v1:0": _claude("claude-sonnet-4-5-20250929"),
    "anthropic.claude-haiku-4-5-20251001-v1:0": _claude("claude-haiku-4-5-20251001"),
    "anthropic.claude-opus-4-5-20251101-v1:0": _claude("claude-opus-4-5-20251101"),
    "anthropic.claude-opus-4-8": _claude("claude-opus-4-8"),
    "anthropic.claude-opus-5-5": _claude("claude-opus-5-5"),
    "amazon.nova-lite-v1:0": _other(
        "nova",
        10_000,
        streams_tools=True,
        ways=("", "us."),
        prefill=True,
        top_k=("inferenceConfig", "topK"),
        caches=("5m",),
        cacheable=1_024,
    ),
    "amazon.nova-2-lite-v1:0": _other(
        "nova",
        64_000,
        streams_tools=True,
        ways=("us.", "global."),
        prefill=True,
        thinking="adaptive",
        efforts=("low", "medium", "high"),
        top_k=("inferenceConfig", "topK"),
        caches=("5m",),
        extras=("reasoningConfig",),
    ),
    "meta.llama3-3-70b-instruct-v1:0": _other(
        "llama", 8_192, ways=("us.",), choices=(), images=False, results="text"
    ),
    "mistral.mistral-large-3-675b-instruct": _other(
        "mistral", 8_192, choices=("any",), schemas=True, results="json"
    ),
    "meta.llama4-scout-17b-instruct-v1:0": _other("llama", 16_384, ways=("us.",), choices=(), results="text"),
    "mistral.mixtral-8x7b-instruct-v0:1": _other(
        "mistral",
        8_192,
        system=False,
        tools=False,
        choices=(),
        images=False,
        top_k=("top_k",),
        results="json",
    ),
    "deepseek.r1-v1:0": _other(
        "deepseek", 32_768, ways=("us.",), tools=False, images=False, thinking="adaptive", by_default=True
    ),
    "openai.gpt-oss-120b-1:0": _GPT_OSS,
}


PROFILE = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/fm16bt65tzgx"
"""Somebody's own, which does not say that it is an Opus 4.5."""


def served(model: str) -> tuple[str, Model] | None:
    """(the model's own id, what it can do), by any id that this region's callers may use."""
    if model == PROFILE:
        model = "us.anthropic.claude-opus-4-5-20251101-v1:0"
    if model.startswith("arn:"):
        _, partition, service, region, account, resource = model.split(":", 5)
        kind, _, model = resource.partition("/")
        owner = {"foundation-model": "", "inference-profile": ACCOUNT}.get(kind)
        if (partition, service, region, account) != ("aws", "bedrock", REGION, owner):
            return None
    for own, found in MODELS.items():
        if model.endswith(own) and model.removesuffix(own) in found.ways:
            return own, found
    return None
