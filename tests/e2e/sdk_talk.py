"""One conversation for both surfaces, streamed and not, by the official `openai` package."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
from gateway_process import GatewayProcess, Licence
from hostile import Hostile, Seen
from openai import OpenAI
from openai.lib.streaming._deltas import accumulate_delta
from plain_http import HTTP

BUDGETED, ADAPTIVE = "claude-opus-4-5-20251101", "claude-opus-4-8"
"""A model that is given a budget to think with, and one that decides itself."""
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
Json = dict[str, Any]


class Counts(NamedTuple):
    """Usage as both surfaces tell it. `prompt` and `output` are sums, `write` contains `write_1h`."""

    prompt: int
    read: int
    write: int
    write_1h: int
    output: int
    reasoning: int
    searches: int
    credits: int


class Heard(NamedTuple):
    """An answer. `calls` are (id, name, arguments); `said` is what goes back with the next turn: a chat
    message, or the items of a response. `id` is the response's."""

    id: str
    text: str
    reasoning: str | None
    calls: list[tuple[str, str, str]]
    finish: str
    counts: Counts
    annotations: list[Json]
    said: list[Json]
    chunks: list[Json]


class Talk:
    """`messages` are in the language of chat completions whatever the surface."""

    def __init__(self, surface: str, streams: bool, licence: Licence, client: OpenAI) -> None:
        self.surface = surface
        self.streams = streams
        self.licence = licence
        self.client = client

    def ask(self, *messages: Json | str, model: str = ADAPTIVE, **more: Any) -> Heard:
        """The first text carries the licence's marker, by which the server's record is found."""
        turns: list[Json] = [user(one) if isinstance(one, str) else one for one in messages]
        if self.surface == "chat":
            return self._chat(marked(turns, self.licence), model, more)
        return self._respond(items(marked(turns, self.licence)), model, more)

    def again(self, before: list[Json | str], heard: Heard, *after: Json, **more: Any) -> Heard:
        """Sends the whole conversation back, as the package dumps it."""
        turns: list[Json] = marked(
            [user(one) if isinstance(one, str) else one for one in before], self.licence
        )
        model = more.pop("model", ADAPTIVE)
        if self.surface == "chat":
            return self._chat([*turns, *heard.said, *after], model, more)
        return self._respond([*items(turns), *heard.said, *items(list(after))], model, more)

    def go_on(self, heard: Heard, *after: Json, model: str = ADAPTIVE, **more: Any) -> Heard:
        """Continues a stored response."""
        return self._respond(items(list(after)), model, more | {"previous_response_id": heard.id})

    def _chat(self, messages: list[Json], model: str, more: Json) -> Heard:
        more = {"messages": messages, "model": model, "extra_body": extra(more, _CHAT)} | more
        if not self.streams:
            whole = self.client.chat.completions.create(**more).model_dump()
            [choice] = whole["choices"]
            return _heard_chat(choice["message"], choice["finish_reason"], whole["usage"], [])
        chunks = [
            c.model_dump(exclude_unset=True) for c in self.client.chat.completions.create(**more, stream=True)
        ]
        message: Json = {}
        finish = ""
        for chunk in chunks:
            for choice in chunk["choices"]:
                message = accumulate_delta(message, choice["delta"])  # type: ignore[arg-type, assignment]
                finish = choice.get("finish_reason") or finish
        return _heard_chat(message, finish, chunks[-1]["usage"], chunks)

    def _respond(self, written: list[Json], model: str, more: Json) -> Heard:
        if "tools" in more:
            more["tools"] = [_flat(tool) for tool in more["tools"]]
        if "max_tokens" in more:
            more["max_output_tokens"] = more.pop("max_tokens")
        if isinstance(more.get("tool_choice"), dict):
            more["tool_choice"] = {"type": "function", **more["tool_choice"]["function"]}
        if more.pop("web_search_options", None) is not None:
            more["tools"] = [*more.get("tools", ()), {"type": "web_search"}]
        more = {"input": written, "model": model, "extra_body": extra(more, _RESPONSES)} | more
        if not self.streams:
            return _heard_response(self.client.responses.create(**more).model_dump(exclude_none=True), [])
        events = [e.model_dump(exclude_none=True) for e in self.client.responses.create(**more, stream=True)]
        return _heard_response(events[-1]["response"], events)


_CHAT, _RESPONSES = {"reasoning"}, {"frequency_penalty", "presence_penalty"}


def extra(more: Json, unknown: set[str]) -> Json:
    """What the package has no name for."""
    return {name: more.pop(name) for name in unknown & more.keys()}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def result(call: tuple[str, str, str], said: Any = "18 degrees") -> Json:
    return {"role": "tool", "tool_call_id": call[0], "content": said}


def marked(turns: list[Json], licence: Licence) -> list[Json]:
    """With the licence's marker in the first text of the user's."""
    turns = json.loads(json.dumps(turns))
    for turn in turns:
        if turn["role"] == "user":
            if isinstance(turn["content"], str):
                turn["content"] += f" {licence.marker}"
            else:
                turn["content"].append({"type": "text", "text": licence.marker})
            return turns
    turns.append(user(licence.marker))
    return turns


def items(messages: list[Json]) -> list[Json]:
    """The same as items of the Responses API."""
    return [item for message in messages for item in _items(message)]


def _items(message: Json) -> Iterator[Json]:
    if "type" in message:  # An item of an answer.
        yield message
        return
    role, content = message["role"], message.get("content")
    if role == "tool":
        yield {
            "type": "function_call_output",
            "call_id": message["tool_call_id"],
            "output": _parts(content, "input"),
        }
        return
    if content is not None:
        yield {"role": role, "content": _parts(content, "output" if role == "assistant" else "input")}
    for call in message.get("tool_calls", ()):
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _parts(content: Any, side: str) -> Any:
    if isinstance(content, str):
        return content
    return [_part(part, side) for part in content]


def _part(part: Json, side: str) -> Json:
    match part["type"]:
        case "text":
            return {"type": f"{side}_text", "text": part["text"]}
        case "image_url":
            return {"type": "input_image", "image_url": part["image_url"]["url"]}
        case "input_audio":
            return part
        case _:
            return {"type": "input_file", **part["file"]}


def _flat(tool: Json) -> Json:
    return {"type": "function", **tool["function"]} if "function" in tool else tool


def _heard_chat(message: Json, finish: str, usage: Json, chunks: list[Json]) -> Heard:
    calls = message.get("tool_calls") or []
    prompt, output = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    return Heard(
        "",
        message.get("content") or "",
        message.get("reasoning"),
        [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls],
        finish,
        Counts(
            usage["prompt_tokens"],
            prompt["cached_tokens"],
            prompt["cache_write_tokens"],
            prompt.get("cache_write_1h_tokens") or 0,
            usage["completion_tokens"],
            output["reasoning_tokens"],
            usage.get("web_searches") or 0,
            usage["credits_used"],
        ),
        [note["url_citation"] for note in message.get("annotations") or ()],
        [message],
        chunks,
    )


def _heard_response(response: Json, events: list[Json]) -> Heard:
    output = response["output"]
    texts = [part for item in output if item["type"] == "message" for part in item["content"]]
    thoughts = [
        part["text"] for item in output if item["type"] == "reasoning" for part in item.get("content") or ()
    ]
    calls = [(i["call_id"], i["name"], i["arguments"]) for i in output if i["type"] == "function_call"]
    usage = response["usage"]
    details = usage["input_tokens_details"]
    return Heard(
        response["id"],
        "".join(part.get("text", "") for part in texts),
        "".join(thoughts) or None,
        calls,
        _finish(response, bool(calls)),
        Counts(
            usage["input_tokens"],
            details["cached_tokens"],
            details["cache_write_tokens"],
            details.get("cache_write_1h_tokens") or 0,
            usage["output_tokens"],
            usage["output_tokens_details"]["reasoning_tokens"],
            usage.get("web_searches") or 0,
            usage["credits_used"],
        ),
        _shifted(texts),
        output,
        events,
    )


def _shifted(texts: list[Json]) -> list[Json]:
    """The notes of all texts, with their places in all of the text."""
    notes, before = [], 0
    for part in texts:
        for note in part.get("annotations", ()):
            places = {name: note[name] + before for name in ("start_index", "end_index")}
            notes.append(note | places)
        before += len(part.get("text", ""))
    return notes


def _finish(response: Json, calls: bool) -> str:
    if response["status"] == "incomplete":
        reason = response["incomplete_details"]["reason"]
        return {"max_output_tokens": "length"}.get(reason, reason)
    assert response["status"] == "completed", response
    return "tool_calls" if calls else "stop"


def sent(server: Hostile, talk: Talk) -> Seen:
    """The last request of this conversation that reached the server."""
    return server.seen(talk.licence.marker)[-1]


def described(gateway: GatewayProcess, licence: Licence, model: str, provider: str = "anthropic") -> Json:
    """What is published of a model, by any of its names."""
    headers = licence.headers | {"x-quantized-provider": provider}
    found: Json = HTTP.get(f"{gateway.url}/v1/models/{model}", headers=headers).json()
    return found


def rates(gateway: GatewayProcess, licence: Licence, model: str, provider: str = "anthropic") -> Json:
    """The published rates for a million, as integers."""
    cost: Json = described(gateway, licence, model, provider)["cost_per_million"]
    return cost


def cost(rate: Json, counts: Counts) -> int:
    """What an answer costs at published rates, in micro-credits."""
    fresh = counts.prompt - counts.read - counts.write
    total = (
        rate["input"] * fresh
        + rate["cached_input"] * counts.read
        + rate["cache_write"] * (counts.write - counts.write_1h)
        + rate["cache_write_1h"] * counts.write_1h
        + rate["output"] * (counts.output - counts.reasoning)
        + rate["reasoning"] * counts.reasoning
        + (rate["web_search"] or 0) * counts.searches
        + rate["request"]
    )
    return int(-(-total // 1_000_000))


@contextmanager
def talking(
    gateway: GatewayProcess, surface: str, streams: bool, licence: Licence, provider: str = "anthropic"
) -> Iterator[Talk]:
    with OpenAI(
        api_key=licence.key,
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        default_headers={"x-quantized-provider": provider},
        http_client=httpx.Client(verify=False, timeout=50),
    ) as client:
        yield Talk(surface, streams, licence, client)
