"""The prompt cache of the imitated Messages API: the prefixes it holds, what requests read and write."""

import hashlib
import json
from typing import Any, NamedTuple

from anthropic_server_models import ServedModel
from anthropic_server_rules import marked

_LOOK_BACK = 20
"""Blocks before a mark in which an earlier, shorter prefix is still found."""
_MESSAGES_DEPEND_ON = ("tool_choice", "thinking", "output_config")


class Counted(NamedTuple):
    """Input tokens, each in one bucket."""

    fresh: int
    read: int
    written: int
    written_1h: int

    @property
    def total(self) -> int:
        return sum(self)

    def usage(self, *, split: bool = True) -> dict[str, Any]:
        found: dict[str, Any] = {
            "input_tokens": self.fresh,
            "cache_creation_input_tokens": self.written + self.written_1h,
            "cache_read_input_tokens": self.read,
        }
        if split:
            found["cache_creation"] = {
                "ephemeral_5m_input_tokens": self.written,
                "ephemeral_1h_input_tokens": self.written_1h,
            }
        return found


def tokens_of(block: dict[str, Any]) -> int:
    """Four bytes of a block's JSON are one token; a mark is none."""
    return -(-len(_plain(block)) // 4)


def _plain(block: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in block.items() if name != "cache_control"}).encode()


class PromptCache:
    """Never forgets by itself: a test is shorter than five minutes."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def count(self, body: dict[str, Any], model: ServedModel) -> Counted:
        """Reads the longest known prefix that a mark reaches, and writes those up to each mark."""
        digest = hashlib.sha256(body["model"].encode())
        settings = json.dumps([body.get(name) for name in _MESSAGES_DEPEND_ON]).encode()
        prefixes: list[tuple[bytes, int, dict[str, Any] | None]] = []
        total, in_messages = 0, False
        for path, block in marked(body):
            if path.startswith("messages") and not in_messages:
                digest.update(settings)
                in_messages = True
            digest.update(_plain(block))
            total += tokens_of(block)
            prefixes.append((digest.digest(), total, block.get("cache_control")))
        read = written = written_1h = 0
        ends = [at for at, (_, tokens, mark) in enumerate(prefixes) if mark and tokens >= model.cacheable]
        for end in ends:
            for known, tokens, _ in prefixes[max(0, end - _LOOK_BACK) : end + 1]:
                if known in self._known:
                    read = max(read, tokens)
        reached = read
        for end in ends:
            known, tokens, mark = prefixes[end]
            self._known.add(known)
            more = max(0, tokens - reached)
            reached = max(reached, tokens)
            if mark and mark.get("ttl") == "1h":
                written_1h += more
            else:
                written += more
        return Counted(total - reached, read, written, written_1h)
