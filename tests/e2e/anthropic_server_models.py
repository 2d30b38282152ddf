"""What the imitated Messages API knows of its models: a table of its own, so that it can contradict ours."""

from typing import NamedTuple

BUDGET, BOTH, ADAPTIVE = "budget", "both", "adaptive"


class ServedModel(NamedTuple):
    """`output`: tokens. `thinking`: how it is asked for, None where there is none. `by_default`: it thinks
    unless told not to; `always`: it cannot be told. `one_sampler`: temperature or top_p, not both."""

    output: int
    thinking: str | None = None
    by_default: bool = False
    always: bool = False
    sampling: bool = True
    one_sampler: bool = False
    prefill: bool = True
    schemas: bool = False
    efforts: tuple[str, ...] = ()
    shows_thinking: bool = True
    between_tools: bool = False
    """Thinking before the answer can be turned off, that between calls cannot."""
    forced_tools: bool = True
    bound: bool = False
    """Thoughts are taken back only behind the very prompt that they were thought about."""
    cacheable: int = 1024
    """The fewest tokens of a prefix that is cached."""


_THREE = ("low", "medium", "high")
_FIVE = (*_THREE, "xhigh", "max")
_NEW = ServedModel(
    output=128_000,
    thinking=ADAPTIVE,
    sampling=False,
    prefill=False,
    schemas=True,
    efforts=_FIVE,
    shows_thinking=False,
)
_BY_DEFAULT = _NEW._replace(by_default=True)
_ALWAYS = _BY_DEFAULT._replace(always=True, cacheable=512)
_BOUND = _ALWAYS._replace(forced_tools=False, bound=True)

MODELS: dict[str, ServedModel] = {
    "claude-3-haiku-20240307": ServedModel(output=4_096, cacheable=2_048),
    "claude-3-5-haiku-20241022": ServedModel(output=8_192, cacheable=2_048),
    "claude-3-7-sonnet-20250219": ServedModel(output=64_000, thinking=BUDGET),
    "claude-sonnet-4-20250514": ServedModel(output=64_000, thinking=BUDGET),
    "claude-opus-4-1-20250805": ServedModel(output=32_000, thinking=BUDGET, one_sampler=True, schemas=True),
    "claude-sonnet-4-5-20250929": ServedModel(output=64_000, thinking=BUDGET, one_sampler=True, schemas=True),
    "claude-haiku-4-5-20251001": ServedModel(
        output=64_000, thinking=BUDGET, one_sampler=True, schemas=True, cacheable=4_096
    ),
    "claude-opus-4-5-20251101": ServedModel(
        output=64_000, thinking=BUDGET, one_sampler=True, schemas=True, efforts=_THREE, cacheable=4_096
    ),
    "claude-opus-4-6": ServedModel(
        output=128_000,
        thinking=BOTH,
        one_sampler=True,
        prefill=False,
        schemas=True,
        efforts=(*_THREE, "max"),
        cacheable=4_096,
    ),
    "claude-sonnet-4-6": ServedModel(
        output=128_000,
        thinking=BOTH,
        one_sampler=True,
        prefill=False,
        schemas=True,
        efforts=(*_THREE, "max"),
        cacheable=2_048,
    ),
    "claude-opus-4-7": _NEW._replace(cacheable=2_048),
    "claude-opus-4-8": _NEW,
    "claude-sonnet-5": _BY_DEFAULT,
    "claude-opus-5": _BY_DEFAULT._replace(cacheable=512),
    "claude-sonnet-5-5": _BOUND._replace(between_tools=True),
    "claude-haiku-5-5": _BY_DEFAULT._replace(cacheable=512, bound=True),
    "claude-opus-5-5": _BOUND,
    "claude-fable-5": _ALWAYS,
    "claude-fable-5-1": _BOUND,
}
"""By the ids that the API itself uses."""

ALIASES = {
    "claude-3-5-haiku-latest": "claude-3-5-haiku-20241022",
    "claude-3-7-sonnet-latest": "claude-3-7-sonnet-20250219",
    "claude-sonnet-4-0": "claude-sonnet-4-20250514",
    "claude-opus-4-1": "claude-opus-4-1-20250805",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
}


def served(name: str) -> tuple[str, ServedModel] | None:
    """The model's own id and what it can do."""
    own = ALIASES.get(name, name)
    return (own, MODELS[own]) if own in MODELS else None
