"""The contract's examples of responses, as people run them: curl, httpx, and the official SDK."""

import asyncio
import json
from collections.abc import Iterator

import httpx
import openai
import pytest
from gateway_process import INPUT, OUTPUT, GatewayProcess, Licence
from hostile import Hostile
from hostile_behaviours import ANSWER
from jsonschema import Draft202012Validator
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI
from openai.types.responses import ResponseFunctionToolCall, ResponseInputParam
from openapi_spec_validator import validate
from plain_http import HTTP
from pydantic import BaseModel
from responses_client import WEATHER, query, respond

PLAIN = "hostile/plain"
PRICE = 25 * INPUT + 8 * OUTPUT


@pytest.fixture
def sdk(gateway: GatewayProcess, licence: Licence) -> Iterator[OpenAI]:
    with OpenAI(
        api_key=licence.key,
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        http_client=httpx.Client(verify=False, timeout=50),
    ) as client:
        yield client


async def test_curl(gateway: GatewayProcess, licence: Licence) -> None:
    data = """{
    "model": "hostile/plain",
    "input": "What is the capital of France?",
    "instructions": "You are a geography expert. Be concise.",
    "max_output_tokens": 128
  }"""
    try:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "-X", "POST", f"{gateway.url}/v1/responses"),
            *("-H", f"Authorization: Bearer {licence.key}"),
            *("-H", "Content-Type: application/json"),
            *("-d", data),
            stdout=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        pytest.skip("curl is not installed on this machine")
    out, _ = await process.communicate()
    answer = json.loads(out)
    assert answer["output"][0]["content"][0]["text"] == ANSWER
    assert (answer["object"], answer["status"], answer["model"]) == ("response", "completed", "hostile/model")
    assert answer["id"].startswith("resp-")
    assert answer["usage"] == {
        "input_tokens": 25,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 33,
        "credits_used": PRICE,
        "credits_remaining": 10_000_000 - PRICE,
    }


def test_httpx(gateway: GatewayProcess, licence: Licence) -> None:
    response = HTTP.post(
        f"{gateway.url}/v1/responses",
        headers={"Authorization": f"Bearer {licence.key}"},
        json={
            "model": "hostile/plain",
            "input": "What is the capital of France?",
            "instructions": "You are a geography expert. Be concise.",
            "max_output_tokens": 128,
        },
    )
    data = response.json()
    assert data["output"][0]["content"][0]["text"] == ANSWER


def test_the_sdk(sdk: OpenAI, licence: Licence, hostile: Hostile) -> None:
    response = sdk.responses.create(
        model=PLAIN,
        input=f"What is the capital of France? {licence.marker}",
        instructions="You are a geography expert. Be concise.",
        max_output_tokens=128,
    )
    assert response.output[0].content[0].text == ANSWER  # type: ignore[union-attr]
    assert response.output_text == ANSWER
    assert response._request_id is not None
    [seen] = hostile.seen(licence.marker)
    assert seen.body == {
        "model": PLAIN,
        "messages": [
            {"role": "system", "content": "You are a geography expert. Be concise."},
            {"role": "user", "content": f"What is the capital of France? {licence.marker}"},
        ],
        "max_tokens": 128,
    }


def test_the_demo_answers_the_examples(sdk: OpenAI) -> None:
    response = sdk.responses.create(
        model="quantized/demo",
        input="What is the capital of France?",
        instructions="You are a geography expert. Be concise.",
        max_output_tokens=128,
    )
    assert response.output_text == ANSWER
    assert response.usage is not None
    assert response.usage.model_extra is not None
    assert response.usage.model_extra["credits_used"] > 0


def test_the_sdk_streams(sdk: OpenAI, licence: Licence) -> None:
    events = list(sdk.responses.create(**query("plain", licence), stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == ANSWER
    end = events[-1]
    assert end.type == "response.completed"
    assert end.response.output_text == ANSWER
    assert sdk.responses.retrieve(end.response.id) == end.response


def test_the_stream_helper_of_the_sdk(sdk: OpenAI, licence: Licence) -> None:
    with sdk.responses.stream(**query("plain", licence)) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert {"response.output_text.delta", "response.output_text.done"} < set(kinds)
    assert final.output_text == ANSWER
    assert final.usage is not None
    assert final.usage.total_tokens == 33


async def test_the_asynchronous_sdk(gateway: GatewayProcess, licence: Licence) -> None:
    async with AsyncOpenAI(
        api_key=licence.key,
        base_url=f"{gateway.url}/v1",
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(verify=False),
    ) as sdk:
        whole = await sdk.responses.create(**query("plain", licence))
        assert whole.output_text == ANSWER
        async with sdk.responses.stream(**query("plain", licence, previous_response_id=whole.id)) as stream:
            told = [event async for event in stream]
            final = await stream.get_final_response()
        assert told[-1].type == "response.completed"
        assert final.previous_response_id == whole.id
        assert (await sdk.responses.retrieve(whole.id)).output_text == ANSWER
        listed = [item async for item in sdk.responses.input_items.list(final.id)]
        assert [item.type for item in listed] == ["message"]
        await sdk.responses.delete(whole.id)
        with pytest.raises(openai.NotFoundError):
            await sdk.responses.retrieve(whole.id)


def test_a_response_is_read_back_listed_and_deleted(sdk: OpenAI, licence: Licence) -> None:
    words = [{"role": "user", "content": f"{number} {licence.marker}"} for number in range(25)]
    made = sdk.responses.create(model=PLAIN, input=words)  # type: ignore[arg-type]
    assert sdk.responses.retrieve(made.id) == made
    # A client that rebuilds ids writes them as OpenAI does.
    assert sdk.responses.retrieve(made.id.replace("resp-", "resp_")) == made

    def told(page: object) -> list[str]:
        return [item.content[0].text.split()[0] for item in page]  # type: ignore[attr-defined]

    numbers = [str(number) for number in range(25)]
    first = sdk.responses.input_items.list(made.id, order="asc", limit=10)
    assert told(first.data) == numbers[:10]
    assert told(first) == numbers, "every page"
    assert told(sdk.responses.input_items.list(made.id)) == numbers[::-1], "the newest first"
    assert len({item.id for item in first}) == 25

    sdk.responses.delete(made.id)
    for gone in (sdk.responses.retrieve, sdk.responses.delete, sdk.responses.input_items.list):
        with pytest.raises(openai.NotFoundError) as raised:
            gone(made.id)
        assert raised.value.code == "response_not_found"


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_is_called_and_its_result_sent_back(
    sdk: OpenAI, licence: Licence, hostile: Hostile, streams: bool
) -> None:
    """The whole output goes back as the SDK gave it, with everything that is null in it."""
    history: ResponseInputParam = [{"role": "user", "content": f"The weather in Paris? {licence.marker}"}]
    asked = {"model": "hostile/tools", "input": history, "tools": [WEATHER]}
    if streams:
        with sdk.responses.stream(**asked) as stream:  # type: ignore[arg-type]
            first = stream.get_final_response()
    else:
        first = sdk.responses.create(**asked)  # type: ignore[call-overload]
    [call] = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.call_id, call.name, json.loads(call.arguments)) == (
        "call_1",
        "get_weather",
        {"city": "Paris"},
    )
    assert call.id != call.call_id
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"temp": 18}'}
    dumped = [item.model_dump() for item in first.output]
    second = sdk.responses.create(model="hostile/tools", input=[*history, *dumped, result], tools=[WEATHER])  # type: ignore[list-item]
    assert second.output_text == ANSWER
    third = sdk.responses.create(  # the same, from what is stored
        model="hostile/tools",
        previous_response_id=first.id,
        input=[result],
        tools=[WEATHER],  # type: ignore[list-item]
    )
    assert third.output_text == ANSWER
    _, replayed, continued = (seen.body["messages"] for seen in hostile.seen(licence.marker))
    assert replayed == continued
    assert [message["role"] for message in continued] == ["user", "assistant", "tool"]
    assert continued[1]["tool_calls"][0]["function"]["arguments"] == call.arguments


def test_what_needs_the_text_parameter_is_refused_by_its_name(sdk: OpenAI, licence: Licence) -> None:
    """The contract does not have `text`, so the SDK's `parse` with a format of its own cannot work."""

    class City(BaseModel):
        name: str

    with pytest.raises(openai.UnprocessableEntityError) as refused:
        sdk.responses.parse(**query("plain", licence), text_format=City)
    assert (refused.value.param, refused.value.code) == ("text", "unknown_parameter")
    assert "response_format" in refused.value.message, "says where it can be had"
    # Without one it reads what came.
    assert sdk.responses.parse(**query("plain", licence)).output_text == ANSWER


ERRORS: list[tuple[str, dict[str, object], int, str | None, str | None]] = [
    ("plain", {"temperature": 3}, 400, "temperature", None),
    ("plain", {"input": 7}, 400, "input", None),
    ("plain", {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, 422, None, None),
    ("plain", {"store": True}, 422, "store", "unknown_parameter"),
    ("plain", {"metadata": {}}, 422, "metadata", "unknown_parameter"),
    ("plain", {"previous_response_id": "resp-0"}, 404, "previous_response_id", "response_not_found"),
    ("nothing", {}, 404, "model", "model_not_found"),
    ("status-400", {}, 400, None, "rejected_by_provider"),
    ("status-401", {}, 503, None, "service_unavailable"),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("model", "more", "status", "param", "code"), ERRORS)
def test_the_sdk_raises_its_own_errors(
    sdk: OpenAI,
    licence: Licence,
    model: str,
    more: dict[str, object],
    status: int,
    param: str | None,
    code: str | None,
    streams: bool,
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.responses.create(**query(model, licence), stream=streams, extra_body=more)
    error = raised.value
    assert error.status_code == status
    assert param is None or error.param == param
    assert code is None or error.code == code
    assert error.request_id is not None


@pytest.mark.parametrize("missing", ["model", "input"])
def test_what_is_missing_is_a_400_that_names_it(
    gateway: GatewayProcess, licence: Licence, missing: str
) -> None:
    body = query("plain", licence)
    del body[missing]
    answer = HTTP.post(f"{gateway.url}/v1/responses", json=body, headers=licence.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, missing)


def test_credentials_and_credits(gateway: GatewayProcess, sdk: OpenAI, licence: Licence) -> None:
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="sk-quantized-unknown").responses.retrieve("resp-0")
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="sk-quantized-unknown").responses.create(**query("plain", licence))
    poor = gateway.licence("0.0001")
    with pytest.raises(openai.APIStatusError) as broke:
        sdk.with_options(api_key=poor.key).responses.create(**query("plain", poor))
    assert (broke.value.status_code, broke.value.code) == (402, "insufficient_credits")


async def test_the_description_holds_for_what_is_said(client: httpx.AsyncClient, licence: Licence) -> None:
    """`/openapi.json` is valid with both surfaces in it, and what is said is as it says."""
    description = (await client.get("/openapi.json")).json()
    validate(description)
    methods = {path: set(item) for path, item in description["paths"].items()}
    assert methods["/v1/chat/completions"] == methods["/v1/responses"] == {"post"}
    assert methods["/v1/responses/{response_id}"] == {"get", "delete"}
    assert methods["/v1/responses/{response_id}/input_items"] == {"get"}

    def check(name: str, told: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        assert not list(Draft202012Validator(schema).iter_errors(told)), told

    body = query("tools", licence, tools=[WEATHER], stream=True)
    check("ResponseRequest", body)
    answer = await respond(client, licence, body)
    for event in answer.events:
        check("ResponseStreamEvent", event)
    one = f"/v1/responses/{answer.id}"
    for name, path in (("Response", one), ("InputItemList", f"{one}/input_items")):
        check(name, (await client.get(path, headers=licence.headers)).json())
    check("DeletedResponse", (await client.delete(one, headers=licence.headers)).json())
    check("ErrorBody", (await client.get(one, headers=licence.headers)).json())


async def test_a_page_may_delete_a_response(client: httpx.AsyncClient) -> None:
    asking = {"origin": "https://chat.example.edu", "access-control-request-method": "DELETE"}
    allowed = await client.options("/v1/responses/resp-0", headers=asking)
    assert allowed.status_code == 200
    assert "DELETE" in allowed.headers["access-control-allow-methods"]
