"""What the imitated Messages API answers: `do:NAME` in the last text that has one chooses a script.

A script is a list of steps; each answer since that text is one further, and the last step repeats.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from zlib import crc32

from anthropic_server_cache import Counted
from anthropic_server_models import ServedModel, served
from anthropic_server_rules import blocks_of, thinks
from anthropic_server_thoughts import Place, kinds_of, prefix_of, seal, sealed_result, secret, shape

ANSWER = "The capital of France is Paris."
WEATHER = "It is 18 degrees in Paris."
THOUGHT = "The user wants the weather — I will ask “get_weather”."
AFTER = "The tool said 18 degrees."
EXPLANATION = "This request was declined by a safety classifier."
SEARCH_INPUT = 12_000
"""Input tokens that what one search found comes to, unless its script says otherwise."""

Block = dict[str, Any]
Script = list[list[tuple[Any, ...]]]

_PARIS, _ROME = ("tool", {"city": "Paris"}), ("tool", {"city": "Rome"})
SCRIPTS: dict[str, Script] = {
    "plain": [[("text", ANSWER)]],
    "tool": [[("text", "One moment."), _PARIS], [("text", WEATHER)]],
    "parallel": [[_PARIS, _ROME], [("text", WEATHER)]],
    "empty": [[("tool", {})], [("text", WEATHER)]],
    "think": [[("think", THOUGHT), ("text", ANSWER)]],
    "think-tool": [
        [("think", THOUGHT), ("text", "One moment."), _PARIS],
        [("think", AFTER), ("text", WEATHER)],
    ],
    "interleave": [
        [("think", THOUGHT), ("text", "One moment."), ("think", "Paris first."), ("text", "Paris."), _PARIS],
        [("think", "Now Rome."), _ROME],
        [("think", AFTER), ("text", "Warm "), ("text", "in both.")],
    ],
    "redacted": [
        [("think", THOUGHT), ("redacted",), ("redacted",), ("text", "One moment."), _PARIS],
        [("redacted",), ("text", WEATHER)],
    ],
    "empty-think": [[("think", ""), ("text", "One moment."), _PARIS], [("think", ""), ("text", WEATHER)]],
    "search": [
        [("text", "I will look. "), ("search", "capital of France"), ("cited", ANSWER), ("text", " Done.")]
    ],
    "search-three": [
        [*(("search", f"capital of France {n}") for n in range(3)), ("think", AFTER), ("cited", ANSWER)]
    ],
    "search-large": [[*(("search", f"capital of France {n}", 60_000) for n in range(3)), ("cited", ANSWER)]],
    "search-tool": [
        [("think", THOUGHT), ("search", "France"), ("cited", ANSWER), _PARIS],
        [("text", WEATHER)],
    ],
    "search-parted": [
        [("search", "France"), ("text", "So: "), ("cited", ANSWER), ("cited", "Indeed. "), _PARIS, _ROME],
        [("text", WEATHER)],
    ],
    "call-first": [
        [("think", THOUGHT), _PARIS, ("text", "And also: "), _ROME, ("text", "Both.")],
        [("text", WEATHER)],
    ],
    "long": [[("text", " ".join(f"word{n}" for n in range(3_000)))]],
    "refusal": [[("text", "I cannot"), ("stop", "refusal")]],
    "context": [[("text", "So far"), ("stop", "model_context_window_exceeded")]],
    "pause": [[("text", "To be continued"), ("stop", "pause_turn")]],
    "none": [[]],
}
_DO = re.compile(r"do:([a-z0-9-]+)")


class Scene(NamedTuple):
    """Where in which script a request stands."""

    name: str
    step: int


def scene(body: dict[str, Any]) -> Scene:
    step = 0
    for message in reversed(body["messages"]):
        step += message["role"] == "assistant"
        for block in reversed(blocks_of(message["content"])):
            if (
                block["type"] == "text"
                and message["role"] == "user"
                and (found := _DO.findall(block["text"]))
            ):
                return Scene(found[-1], step)
    return Scene("plain", step)


def answer(body: dict[str, Any], model: ServedModel, counted: Counted) -> Block:
    """The whole message."""
    name = f"{crc32(json.dumps(body['messages']).encode()):08x}"
    content = _Content(body, model, name)
    for draft in _drafts(body):
        content.add(*draft)
    stop, sequence = content.stop()
    usage = counted.usage() | {"output_tokens": content.tokens, "service_tier": "standard"}
    if model.thinking == "adaptive":
        usage["output_tokens_details"] = {"thinking_tokens": content.thought}
    if content.found:
        searches = len(content.found)
        usage["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
        usage["input_tokens"] += reread(counted, content.found)
    found = served(body["model"])
    details = {"type": "refusal", "category": "cyber", "explanation": EXPLANATION}
    return {
        "id": f"msg_01{name}",
        "type": "message",
        "role": "assistant",
        "model": found[0] if found else body["model"],
        "content": content.sealed(),
        "stop_reason": stop,
        "stop_sequence": sequence,
        "stop_details": details if stop == "refusal" else None,
        "usage": usage,
    }


def reread(counted: Counted, found: list[int]) -> int:
    """After each search the model reads the prompt again and all that was found so far, and each reading is
    counted. `found`: how many tokens each search found."""
    return sum(counted.total + sum(found[: at + 1]) for at in range(len(found)))


def _drafts(body: dict[str, Any]) -> list[tuple[Any, ...]]:
    choice = body.get("tool_choice", {})
    name, step = scene(body)
    if choice.get("type") in ("any", "tool"):
        return [_PARIS]
    if "format" in body.get("output_config", {}):
        return [("text", json.dumps(_instance(body["output_config"]["format"]["schema"])))]
    steps = SCRIPTS.get(name, SCRIPTS["plain"])
    drafts = steps[min(step, len(steps) - 1)]
    if choice.get("disable_parallel_tool_use"):
        first = next((at for at, draft in enumerate(drafts) if draft[0] == "tool"), len(drafts))
        drafts = drafts[: first + 1]
    return drafts


def _instance(schema: Any) -> Any:
    """Something that fits a simple schema."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _instance(kind) for name, kind in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}))]
        case "integer" | "number":
            return 7
        case "boolean":
            return True
        case _:
            return "Paris"


class _Content:
    """Blocks as far as the output cap allows; a token is a word, a call takes ten."""

    def __init__(self, body: dict[str, Any], model: ServedModel, name: str) -> None:
        self._body = body
        self._name = name
        self._thinks = thinks(body, model)
        display = (body.get("thinking") or {}).get("display")
        self._shows = display == "summarized" if display else model.shows_thinking
        self._left: int = body["max_tokens"]
        self._blocks: list[Block] = []
        self._ended: tuple[str, str | None] | None = None
        self._makers: dict[str, Callable[..., None]] = {
            "think": self._think,
            "redacted": self._redacted,
            "text": self._text,
            "cited": self._cited,
            "tool": self._tool,
            "search": self._search,
            "stop": self._stop,
        }
        self.thought = 0
        self.found: list[int] = []

    @property
    def tokens(self) -> int:
        return int(self._body["max_tokens"]) - self._left

    def add(self, kind: str, *what: Any) -> None:
        if self._ended is None:
            self._makers[kind](*what)

    def stop(self) -> tuple[str, str | None]:
        if self._ended is not None:
            return self._ended
        return ("tool_use" if any(b["type"] == "tool_use" for b in self._blocks) else "end_turn"), None

    def sealed(self) -> list[Block]:
        """The blocks, each sealed one with its seal."""
        cited = [crc32(block["text"].encode()) for block in self._blocks if "citations" in block]
        for block in self._blocks:
            for page in block["content"] if block["type"] == "web_search_tool_result" else ():
                page["encrypted_content"] = sealed_result(page["url"], page["title"], cited)
        places = [at for at, b in enumerate(self._blocks) if b["type"] in ("thinking", "redacted_thinking")]
        for number, at in enumerate(places):
            block = self._blocks[at]
            field = "signature" if block["type"] == "thinking" else "data"
            text = block.get("thinking", "")
            before, kinds = shape(self._blocks[:at]), kinds_of(self._blocks)
            place = Place(self._name, prefix_of(self._body), number, len(places), before, kinds)
            block[field] = seal(place, text)
        return self._blocks

    def _take(self, tokens: int) -> int:
        """How many of `tokens` there is room for; the answer is over where that is not all."""
        taken = min(tokens, self._left)
        self._left -= taken
        if taken < tokens:
            self._ended = ("max_tokens", None)
        return taken

    def _words(self, text: str) -> str:
        words = re.findall(r"\s*\S+\s*", text)
        return "".join(words[: self._take(len(words))])

    def _think(self, text: str) -> None:
        if self._thinks:
            shown = self._words(text)
            self.thought += len(shown.split())
            self._blocks.append(
                {"type": "thinking", "thinking": shown if self._shows else "", "signature": ""}
            )

    def _redacted(self) -> None:
        if self._thinks:
            self._blocks.append({"type": "redacted_thinking", "data": ""})

    def _text(self, text: str) -> None:
        for stop in self._body.get("stop_sequences", ()):
            if stop in text:
                self._blocks.append({"type": "text", "text": self._words(text.partition(stop)[0])})
                self._ended = ("stop_sequence", stop)
                return
        if said := self._words(text):
            self._blocks.append({"type": "text", "text": said})

    def _cited(self, text: str) -> None:
        if not self.found:
            self._text(text)
            return
        citations = [
            {
                "type": "web_search_result_location",
                "cited_text": text[:20],
                "encrypted_index": secret("index", url),
                "title": title,
                "url": url,
            }
            for url, title in _PAGES
        ]
        self._blocks.append({"type": "text", "text": self._words(text), "citations": citations})

    def _tool(self, arguments: dict[str, Any]) -> None:
        choice = self._body.get("tool_choice", {})
        own = [tool["name"] for tool in self._body.get("tools", ()) if "input_schema" in tool]
        if not own or choice.get("type") == "none" or self._take(10) < 10:
            return
        name = choice.get("name", own[0])
        call_id = f"toolu_01{self._name}{len(self._blocks)}"
        self._blocks.append({"type": "tool_use", "id": call_id, "name": name, "input": arguments})

    def _search(self, wanted: str, tokens: int = SEARCH_INPUT) -> None:
        tool = next((tool for tool in self._body.get("tools", ()) if tool["name"] == "web_search"), {})
        if "max_uses" not in tool or len(self.found) >= tool["max_uses"]:
            return
        self.found.append(tokens)
        call_id = f"srvtoolu_01{self._name}{len(self._blocks)}"
        found = [
            {
                "type": "web_search_result",
                "url": url,
                "title": title,
                "encrypted_content": "",
                "page_age": None,
            }
            for url, title in _PAGES
        ]
        call = {"type": "server_tool_use", "id": call_id, "name": "web_search", "input": {"query": wanted}}
        self._blocks += [call, {"type": "web_search_tool_result", "tool_use_id": call_id, "content": found}]

    def _stop(self, reason: str) -> None:
        self._ended = (reason, None)


_PAGES = [("https://example.com/1", "Page 1"), ("https://example.com/2", "Page 2")]
