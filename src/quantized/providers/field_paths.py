"""Paths into a Messages request, as its servers tell them, in the words of who wrote another request.

What such a path counts are turns and blocks as they were sent, merged and reordered, so no number of it means
anything to a caller; the field at the top does.
"""

import re

_OURS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "tool_choice": "tool_choice",
    "tools": "tools",
    "metadata": "metadata",
    "messages": "messages",
    "system": "messages",
    "stop_sequences": "stop",
    "thinking": "reasoning",
    "output_config.format": "response_format",
    "output_config": "reasoning",
    "output_format": "response_format",
}
"""Their fields, and what callers of chat completions know them by."""

_NO_WORDS = frozenset({"stop_sequences", "output_config.format", "output_config", "output_format"})
"""Fields of theirs that mean themselves wherever they are mentioned; the others are words of English, too."""

_NAMES = "|".join(re.escape(name) for name in sorted(_OURS, key=len, reverse=True))
_REST = r"(?:\.[\w$-]+|\[\d*\])"
_PATH = re.compile(rf"\b({_NAMES})\b({_REST}+)?")
_BEGINNING = re.compile(rf"[\"'`]?({_NAMES})\b")


def first_field(sentence: str) -> str | None:
    """The caller's field that a sentence begins with."""
    found = _BEGINNING.match(sentence)
    return _OURS[found[1]] if found else None


def callers_words(sentence: str) -> str:
    """The sentence with the caller's field in place of each path."""
    return _PATH.sub(_field, sentence)


def _field(path: re.Match[str]) -> str:
    name, rest = path.groups()
    return _OURS[name] if rest or name in _NO_WORDS else path[0]
