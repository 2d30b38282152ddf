"""What an answer consumed, in buckets that never overlap, and what was paid for it."""

from typing import Literal, get_args

from msgspec import Struct

Grouping = Literal["day", "model", "key", "license", "user"]
"""What the use of many answers is added up by."""

GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)


class Usage(Struct, frozen=True):
    """Counts of one answer, in tokens unless said otherwise. The buckets are disjoint: each token is in one.

    A surface adds them up its own way (`prompt_tokens` of chat completions is the sum of all input buckets).
    """

    input: int = 0
    """Input tokens that were neither read from nor written to a cache, and are not audio."""
    cached_read: int = 0
    cache_write: int = 0
    """Tokens written to a cache that lives five minutes, the common kind."""
    cache_write_1h: int = 0
    input_audio: int = 0
    output: int = 0
    """Visible output: text and tool calls."""
    reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    web_searches: int = 0
    """Searches made, not tokens."""

    @property
    def input_total(self) -> int:
        return self.input + self.cached_read + self.cache_write + self.cache_write_1h + self.input_audio

    @property
    def output_total(self) -> int:
        return self.output + self.reasoning + self.output_audio + self.output_image


class Bill(Struct, frozen=True):
    """What the caller is told about one settled request; amounts in micro-credits."""

    usage: Usage
    credits_used: int
    credits_remaining: int | None
    """`None` for an unlimited licence."""
    estimated: bool = False
    """True when the provider reported no usage and the counts are ours."""
