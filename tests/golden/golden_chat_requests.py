"""The requests of chat completions whose wires are golden, by the name of their file, without `model`."""

from typing import Any

PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAE="
PDF = "data:application/pdf;base64,JVBERi0xLjc="
FUNCTION = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
WEATHER = {"type": "function", "function": FUNCTION}
STRICT = {"type": "function", "function": {**FUNCTION, "strict": True}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CACHED = {"type": "ephemeral"}
CACHED_1H = {"type": "ephemeral", "ttl": "1h"}
PLACE = {"type": "approximate", "approximate": {"city": "Bern", "country": "CH"}}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def call(call_id: str, arguments: str = '{"city":"Paris"}') -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def image(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


def messages(*said: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(said), **fields}


def hi(**fields: Any) -> dict[str, Any]:
    return messages(user("Hi"), **fields)


def details(provider: str | None) -> list[dict[str, Any]]:
    """An answer that thought, spoke, and thought again before it called."""
    by = {} if provider is None else {"provider": provider}
    spoken = [{"type": "text", "length": 11, "check": 2_781_789_643}]
    return [
        {"type": "reasoning.text", **by, "index": 0, "text": "Hm.", "signature": "c2ln"},
        {"type": "reasoning.encrypted", **by, "index": 2, "data": "c2VjcmV0", "before": spoken},
    ]


def thought(provider: str | None) -> dict[str, Any]:
    return messages(
        user("The weather in Paris?"),
        assistant(
            "One moment.", reasoning="Hm.", reasoning_details=details(provider), tool_calls=[call("c1")]
        ),
        result("c1", "18"),
        tools=[WEATHER],
    )


CHAT_SHAPES: dict[str, dict[str, Any]] = {
    "plain": hi(),
    "streamed": hi(stream=True),
    "capped": hi(max_tokens=16),
    "temperature": hi(temperature=0.2),
    "temperature-high": hi(temperature=1.5),
    "top-p": hi(top_p=0.5, top_k=7),
    "temperature-and-top-p": hi(temperature=0.5, top_p=0.5),
    "neutral": hi(temperature=1, top_p=1, frequency_penalty=0, presence_penalty=0),
    "penalty": hi(presence_penalty=0.5),
    "seed": hi(seed=7),
    "logprobs": hi(logprobs=True, top_logprobs=2),
    "logit-bias": hi(logit_bias={"7": -100}),
    "stop": hi(stop=["END", "Stop"]),
    "stop-blank": hi(stop=" "),
    "user": hi(user="user-7"),
    "metadata": hi(metadata={"k": "v"}),
    "modalities": hi(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}),
    "roles": messages(
        system("S"), {"role": "developer", "content": "D"}, user("U"), assistant("A"), system("T"), user("V")
    ),
    "assistant-first": messages(assistant("Welcome."), user("Hi")),
    "assistant-last": messages(user("Count to three."), assistant("1, 2, ")),
    "two-users": messages(user("a"), user("b")),
    "empty-text": messages(user([text(""), text("a"), text(" ")]), assistant(""), user("b")),
    "empty-message": messages(user("")),
    "name": messages({**user("Hi"), "name": "ann"}),
    "image-url": messages(user([text("What is it?"), image("https://example.com/a.png", detail="auto")])),
    "image-data": messages(user([image(PNG)])),
    "image-http": messages(user([image("http://example.com/a.png")])),
    "file-pdf": messages(user([file(filename="a.pdf", file_data=PDF), text("Summarise.")])),
    "file-text": messages(user([file(filename="a.txt", file_data="data:text/plain;base64,SGk=")])),
    "file-zip": messages(user([file(filename="a.zip", file_data="data:application/zip;base64,UEs=")])),
    "file-id": messages(user([file(file_id="file-1")])),
    "audio": messages(user([{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}])),
    "tools": hi(tools=[WEATHER]),
    "tools-strict": hi(tools=[STRICT]),
    "tool-bare": hi(tools=[{"type": "function", "function": {"name": "now"}}]),
    "tools-single": hi(tools=[WEATHER], parallel_tool_calls=False),
    "tool-choice-auto": hi(tools=[WEATHER], tool_choice="auto"),
    "tool-choice-none": hi(tools=[WEATHER], tool_choice="none"),
    "tool-choice-required": hi(tools=[WEATHER], tool_choice="required", parallel_tool_calls=False),
    "tool-choice-function": hi(
        tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "get_weather"}}
    ),
    "tool-choice-thinking": hi(tools=[WEATHER], tool_choice="required", reasoning={"effort": "low"}),
    "tool-loop": messages(
        user("The weather?"),
        assistant("", tool_calls=[call("c1"), call("c2", "")]),
        result("c2", [text("19"), image(PNG)]),
        result("c1", "18"),
        user("So?"),
        tools=[WEATHER],
    ),
    "tool-result-missing": messages(user("q"), assistant(None, tool_calls=[call("c1")]), user("So?")),
    "tool-arguments-broken": messages(
        user("q"), assistant(None, tool_calls=[call("c1", "{")]), result("c1", "r")
    ),
    "tool-id-foreign": messages(
        user("q"), assistant(None, tool_calls=[call("functions.f:0")]), result("functions.f:0", "r")
    ),
    "reasoning-effort": hi(reasoning={"effort": "high"}, max_tokens=4_000),
    "reasoning-effort-none": hi(reasoning={"effort": "none"}),
    "reasoning-budget": hi(reasoning={"max_tokens": 2_000}, max_tokens=4_000),
    "reasoning-budget-small": hi(reasoning={"max_tokens": 100}, max_tokens=4_000),
    "reasoning-cap-small": hi(reasoning={"effort": "high"}, max_tokens=1_000),
    "reasoning-enabled": hi(reasoning={"enabled": True, "exclude": True}, max_tokens=4_000),
    "reasoning-temperature": hi(reasoning={"effort": "low"}, max_tokens=4_000, temperature=0.5),
    "reasoning-replayed": thought(None),
    "reasoning-replayed-anthropic": thought("anthropic"),
    "reasoning-replayed-elsewhere": thought("somebody"),
    "json-object": hi(response_format={"type": "json_object"}),
    "json-schema": hi(
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
    ),
    "json-schema-open": hi(
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    ),
    "web-search": hi(web_search_options={"user_location": PLACE}),
    "web-search-sized": hi(web_search_options={"search_context_size": "high"}),
    "cache-marks": messages(
        system([text("S", cache_control=CACHED_1H)]), user([text("a", cache_control=CACHED), text("b")])
    ),
    "cache-marks-too-many": messages(user([text("a", cache_control=CACHED)] * 5)),
    "cache-marks-out-of-order": messages(
        user([text("a", cache_control=CACHED)]), assistant("b"), user([text("c", cache_control=CACHED_1H)])
    ),
    "cache-continued": messages(system("S" * 3_000), user("a"), assistant("b"), user("c")),
}
