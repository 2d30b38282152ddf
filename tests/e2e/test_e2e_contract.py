"""The contract's examples, as people run them: curl, httpx, and the official SDK."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import openai
import pytest
from chat_client import ask
from gateway_process import GatewayProcess, Licence
from hostile import Hostile
from hostile_behaviours import ANSWER, spoken
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from plain_http import HTTP
from pydantic import BaseModel

PLAIN = "hostile/plain"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FIELDS = {
    *("id", "object", "model", "choices", "usage", "created", "system_fingerprint"),
}
USAGE = {
    *("prompt_tokens", "completion_tokens", "total_tokens", "credits_used", "credits_remaining"),
    *("prompt_tokens_details", "completion_tokens_details"),
}


class City(BaseModel):
    name: str
    country: str


@pytest.fixture
def sdk(gateway: GatewayProcess, licence: Licence) -> Iterator[OpenAI]:
    with OpenAI(
        api_key=licence.key,
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        http_client=httpx.Client(verify=False, timeout=50),
    ) as client:
        yield client


def messages(licence: Licence) -> list[ChatCompletionMessageParam]:
    return [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": f"What is the capital of France? {licence.marker}"},
    ]


async def test_curl(gateway: GatewayProcess, licence: Licence) -> None:
    data = """{
    "model": "hostile/plain",
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "What is the capital of France?"}
    ],
    "max_tokens": 128,
    "temperature": 0.7
  }"""
    try:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "-X", "POST", f"{gateway.url}/v1/chat/completions"),
            *("-H", f"Authorization: Bearer {licence.key}"),
            *("-H", "Content-Type: application/json"),
            *("-d", data),
            stdout=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        pytest.skip("curl is not installed on this machine")
    out, _ = await process.communicate()
    answer = json.loads(out)
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert answer.keys() == FIELDS
    assert answer["usage"].keys() == USAGE
    assert answer["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 0,
        "cache_write_tokens": 0,
        "audio_tokens": 0,
    }
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0, "audio_tokens": 0}


def test_httpx(gateway: GatewayProcess, licence: Licence) -> None:
    response = HTTP.post(
        f"{gateway.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {licence.key}"},
        json={
            "model": "hostile/plain",
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "max_tokens": 128,
            "temperature": 0.7,
        },
    )
    data = response.json()
    assert data["choices"][0]["message"]["content"] == ANSWER


def test_the_sdk(sdk: OpenAI, licence: Licence, hostile: Hostile) -> None:
    response = sdk.chat.completions.create(
        model=PLAIN, messages=messages(licence), max_tokens=128, temperature=0.7
    )
    assert response.choices[0].message.content == ANSWER
    assert response.choices[0].finish_reason == "stop"
    assert response.usage is not None
    assert response.usage.model_extra is not None
    assert response.usage.model_extra["credits_used"] == 114
    [seen] = hostile.seen(licence.marker)
    assert (seen.body["max_tokens"], seen.body["temperature"]) == (128, 0.7)


def test_the_sdk_reads_the_headers(sdk: OpenAI, licence: Licence) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model=PLAIN, messages=messages(licence))
    assert raw.headers["x-request-id"].startswith("req-")
    assert raw.parse().choices[0].message.content == ANSWER
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_the_sdk_streams(sdk: OpenAI, licence: Licence) -> None:
    chunks = list(sdk.chat.completions.create(model=PLAIN, messages=messages(licence), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.model_extra is not None
    assert usage.model_extra["credits_used"] == 114
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_the_stream_helper_of_the_sdk(sdk: OpenAI, licence: Licence) -> None:
    with sdk.chat.completions.stream(model=PLAIN, messages=messages(licence)) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == ANSWER
    assert final.usage is not None
    assert final.usage.total_tokens == 33


async def test_the_asynchronous_sdk(gateway: GatewayProcess, licence: Licence) -> None:
    async with AsyncOpenAI(
        api_key=licence.key,
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(verify=False),
    ) as sdk:
        whole = await sdk.chat.completions.create(model=PLAIN, messages=messages(licence))
        assert whole.choices[0].message.content == ANSWER
        stream = await sdk.chat.completions.create(model=PLAIN, messages=messages(licence), stream=True)
        text = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(text) == ANSWER


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_is_called_and_its_result_sent_back(
    sdk: OpenAI, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    """The assistant's message goes back as the SDK dumps it, with everything that is null in it."""
    conversation = messages(licence)
    if streams:
        with sdk.chat.completions.stream(
            model="hostile/tools", messages=conversation, tools=[WEATHER]
        ) as stream:
            first = stream.get_final_completion()
    else:
        first = sdk.chat.completions.create(model="hostile/tools", messages=conversation, tools=[WEATHER])
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert (call.id, call.type) == ("call_1", "function")
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})

    dumped = choice.message.model_dump()
    dumped.pop("parsed", None)
    conversation.append(dumped)
    conversation.append({"role": "tool", "tool_call_id": call.id, "content": '{"temp": 18, "unit": "C"}'})
    second = sdk.chat.completions.create(model="hostile/tools", messages=conversation, tools=[WEATHER])
    assert second.choices[0].message.content == ANSWER
    sent = hostile.seen(licence.marker)[1].body["messages"]
    assert sent[2]["tool_calls"] == [
        call.model_dump(include={"id", "type", "function"})
        | {"function": {"name": "get_weather", "arguments": call.function.arguments}}
    ]
    assert sent[3]["tool_call_id"] == "call_1"


def test_structured_output_is_parsed(sdk: OpenAI, licence: Licence, hostile: Hostile) -> None:
    parsed = sdk.chat.completions.parse(
        model="hostile/json", messages=messages(licence), response_format=City
    )
    assert parsed.choices[0].message.parsed == City(name="Paris", country="France")
    [seen] = hostile.seen(licence.marker)
    schema = seen.body["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("City", True)
    assert schema["schema"]["required"] == ["name", "country"]
    again = sdk.chat.completions.create(
        model="hostile/json", messages=messages(licence), response_format={"type": "json_object"}
    )
    assert again.choices[0].message.content == '{"ok": true}'


def test_an_image_is_passed_on(sdk: OpenAI, licence: Licence, hostile: Hostile) -> None:
    parts = [
        {"type": "text", "text": f"What is in this image? {licence.marker}"},
        {"type": "image_url", "image_url": {"url": "https://example.com/photo.jpg"}},
    ]
    response = sdk.chat.completions.create(model=PLAIN, messages=[{"role": "user", "content": parts}])
    assert response.choices[0].message.content == ANSWER
    [seen] = hostile.seen(licence.marker)
    assert seen.body["messages"][0]["content"] == parts


@pytest.mark.parametrize("streams", [False, True])
def test_what_the_provider_says_beyond_the_contract_reaches_the_caller_and_may_come_back(
    sdk: OpenAI, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    sdk = sdk.with_options(default_headers={"X-Quantized-Provider": "openrouter"})
    conversation = messages(licence)
    if streams:
        with sdk.chat.completions.stream(model="listed/rich", messages=conversation, logprobs=True) as stream:
            answer = stream.get_final_completion()
    else:
        answer = sdk.chat.completions.create(model="listed/rich", messages=conversation, logprobs=True)
    choice = answer.choices[0]
    said = choice.message.model_extra
    assert said is not None
    assert said["reasoning"] == "Think."
    assert said["reasoning_details"][0]["data"] == "c2VjcmV0"
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert choice.logprobs.content[0].token == "Hi"

    dumped = choice.message.model_dump()
    dumped.pop("parsed", None)
    sdk.chat.completions.create(
        model="listed/rich", messages=[*conversation, dumped, {"role": "user", "content": "And?"}]
    )
    sent = hostile.seen(licence.marker)[1].body["messages"][2]
    assert sent["reasoning_details"] == said["reasoning_details"]


def test_the_sdk_lists_and_reads_models(sdk: OpenAI) -> None:
    listed = {model.id for model in sdk.models.list()}
    assert {PLAIN, "quantized/demo"} <= listed
    assert "hostile/unpriced" not in listed
    assert sdk.models.retrieve(PLAIN).owned_by == "hostile"


ERRORS: list[tuple[str, dict[str, object], type[openai.APIStatusError], int, str | None, str | None]] = [
    ("plain", {"temperature": 3}, openai.BadRequestError, 400, None, "temperature"),
    ("plain", {"extra_body": {"temprature": 1}}, openai.BadRequestError, 400, None, "temprature"),
    ("nothing", {}, openai.NotFoundError, 404, "model_not_found", "model"),
    ("status-400", {}, openai.BadRequestError, 400, "rejected_by_provider", None),
    ("status-401", {}, openai.InternalServerError, 503, "service_unavailable", None),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("model", "more", "kind", "status", "code", "param"), ERRORS)
def test_the_sdk_raises_its_own_errors(
    sdk: OpenAI,
    licence: Licence,
    model: str,
    more: dict[str, object],
    kind: type[openai.APIStatusError],
    status: int,
    code: str | None,
    param: str | None,
    streams: bool,
) -> None:
    with pytest.raises(kind) as raised:
        sdk.chat.completions.create(
            model=f"hostile/{model}", messages=messages(licence), stream=streams, **more
        )
    error = raised.value
    assert (error.status_code, error.param) == (status, param)
    assert code is None or error.code == code
    assert error.type in {"invalid_request_error", "server_error"}
    assert error.request_id is not None


def test_the_sdk_raises_for_credentials_and_credits(gateway: GatewayProcess, sdk: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as unknown:
        sdk.with_options(api_key="sk-quantized-unknown").models.list()
    assert unknown.value.code == "invalid_api_key"
    poor = gateway.licence("0.0001")
    with pytest.raises(openai.APIStatusError) as broke:
        sdk.with_options(api_key=poor.key).chat.completions.create(model=PLAIN, messages=messages(poor))
    assert (broke.value.status_code, broke.value.code) == (402, "insufficient_credits")


def test_the_sdk_raises_for_a_stream_that_breaks(sdk: OpenAI, licence: Licence) -> None:
    stream = sdk.chat.completions.create(
        model="hostile/error-mid-stream", messages=messages(licence), stream=True
    )
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIError) as broken:
        list(stream)
    assert broken.value.message == "Service temporarily unavailable"


def test_what_init_prints_can_be_pasted(gateway: GatewayProcess) -> None:
    """The key that the first command prints opens the demo, whose answer costs credits."""
    first = gateway.cli("init")
    with OpenAI(
        api_key=first["api_key"],
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        http_client=httpx.Client(verify=False, timeout=50),
    ) as sdk:
        answer = sdk.chat.completions.create(
            model="quantized/demo", messages=[{"role": "user", "content": "What is the capital of France?"}]
        )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.model_extra is not None
    assert answer.usage.model_extra["credits_used"] > 0


async def test_relayed_frames_are_the_providers_but_for_the_end(
    client: httpx.AsyncClient, licence: Licence
) -> None:
    answer = await client.post(
        "/v1/chat/completions", json=ask("plain", licence, stream=True), headers=licence.headers
    )
    frames = b"".join(spoken())
    assert answer.content.startswith(frames)
    end = answer.content.removeprefix(frames).decode().split("\n\n")
    finish, usage, done, nothing = end
    assert json.loads(finish.removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"
    assert json.loads(usage.removeprefix("data: "))["choices"] == []
    assert (done, nothing) == ("data: [DONE]", "")
