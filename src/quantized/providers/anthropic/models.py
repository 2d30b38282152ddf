"""What each generation of models takes: rows of published facts, no code.

The facts are those of the models overview, the migration guides and the pages on thinking, effort, structured
outputs and prompt caching of Anthropic's documentation. Where these say nothing of a model, its row has the
reading that the API cannot reject.
"""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace


class Abilities(Struct, frozen=True):
    """Limits in tokens; `cacheable` is the shortest prefix that is cached.

    `thinking`: how thinking is asked for, by a budget, as adaptive, or either way.
    `unthinking`: how a request says that there is to be none. `unsaid`: by not asking; all others think
    unless told otherwise, and `never` cannot be told.
    `shows_thinking`: thinking is readable unless asked not to be; else it has to be asked for.
    `efforts`: the levels of `output_config.effort`.
    `sampling`: temperature and top_p; one of the two; or neither, nor top_k.
    `prefill`: a last turn of the assistant's is continued. `schemas`: structured output and strict tools.
    `forced_tools`: `tool_choice` may demand a call.
    `bound`: thoughts are taken back only behind the very prompt that they were thought about.
    """

    max_output_tokens: int
    context_window: int = 200_000
    cacheable: int = 1_024
    thinking: Literal["none", "budget", "either", "adaptive"] = "none"
    unthinking: Literal["unsaid", "disabled", "between_tools", "never"] = "unsaid"
    shows_thinking: bool = True
    efforts: tuple[str, ...] = ()
    sampling: Literal["both", "one", "neither"] = "both"
    prefill: bool = True
    schemas: bool = False
    forced_tools: bool = True
    bound: bool = False
    web_search: bool = False
    images: bool = True
    documents: bool = False


_FIRST = Abilities(max_output_tokens=4_096, images=False)
_3 = Abilities(max_output_tokens=4_096)
_3_5 = replace(_3, max_output_tokens=8_192, documents=True, web_search=True)
_3_7 = replace(_3_5, max_output_tokens=64_000, thinking="budget")
# Opus 4.1 was the first to refuse temperature beside top_p; of 4.0 the pages only advise against it.
_4 = replace(_3_7, sampling="one")
_4_5 = replace(_4, schemas=True)
_4_6 = replace(
    _4_5,
    max_output_tokens=128_000,
    context_window=1_000_000,
    thinking="either",
    efforts=("low", "medium", "high", "max"),
    prefill=False,
)
_4_7 = replace(
    _4_6,
    thinking="adaptive",
    efforts=("low", "medium", "high", "xhigh", "max"),
    shows_thinking=False,
    sampling="neither",
)
_5 = replace(_4_7, unthinking="disabled")
# On Fable 5 thinking cannot be turned off, yet a call can be demanded; from Fable 5.1 on it cannot.
_FABLE = replace(_5, unthinking="never", cacheable=512)
_FABLE_5_1 = replace(_FABLE, forced_tools=False, bound=True)

_BY_VERSION: dict[tuple[str, int, int], Abilities] = {
    ("haiku", 3, 0): replace(_3, cacheable=2_048),
    ("sonnet", 3, 0): _3,
    ("opus", 3, 0): _3,
    ("haiku", 3, 5): replace(_3_5, cacheable=2_048),
    ("sonnet", 3, 5): _3_5,
    ("sonnet", 3, 7): _3_7,
    ("sonnet", 4, 0): _4,
    ("opus", 4, 0): replace(_4, max_output_tokens=32_000),
    ("opus", 4, 1): replace(_4, max_output_tokens=32_000),
    ("sonnet", 4, 5): _4_5,
    ("haiku", 4, 5): replace(_4_5, cacheable=4_096),
    # Its effort levels once needed a beta; budgets never did.
    ("opus", 4, 5): replace(_4_5, cacheable=4_096),
    ("sonnet", 4, 6): _4_6,
    ("opus", 4, 6): replace(_4_6, cacheable=4_096),
    ("opus", 4, 7): replace(_4_7, cacheable=2_048),
    ("opus", 4, 8): _4_7,
    ("sonnet", 5, 0): _5,
    ("opus", 5, 0): replace(_5, cacheable=512),
    ("haiku", 5, 5): replace(_5, cacheable=512, bound=True),
    ("sonnet", 5, 5): replace(_5, unthinking="between_tools", forced_tools=False, bound=True, cacheable=512),
    ("opus", 5, 5): _FABLE_5_1,
    ("fable", 5, 0): _FABLE,
    ("fable", 5, 1): _FABLE_5_1,
    # The two newest are read as those before them, which take the least.
    ("fable", 5, 2): _FABLE_5_1,
    ("mythos", 5, 2): _FABLE_5_1,
}

_UNKNOWN = replace(_FABLE_5_1, efforts=("low", "medium", "high"), bound=False, cacheable=1_024)
"""Of a model that is younger than this table: what no model since the last change has rejected."""

_FAMILIES = frozenset({"haiku", "sonnet", "opus", "fable", "mythos"})
_SEPARATORS = re.compile(r"[-.@_]")
_LONGEST_VERSION = 2
"""Digits. A longer number in a model's name is a date."""


@lru_cache(maxsize=256)
def known(native_id: str) -> Abilities:
    """By any id of the model: dated, `-latest`, the version before the family's name or after it."""
    words = _SEPARATORS.split(native_id.lower())
    family = next((word for word in words if word in _FAMILIES), None)
    if family is None:
        # Before there were families.
        first = any(word in {"instant", "v1", "v2", "1", "2"} for word in words)
        return _FIRST if first else _UNKNOWN
    numbers = [int(word) for word in words if word.isdecimal() and len(word) <= _LONGEST_VERSION]
    major, minor = [*numbers, 0, 0][:2]
    return _BY_VERSION.get((family, major, minor), _UNKNOWN)
