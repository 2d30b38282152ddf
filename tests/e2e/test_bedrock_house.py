"""What the gateway itself does for Bedrock: credentials, models and their names, rates, images, strangers."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic_server import ANTHROPIC_KEY, AnthropicServer
from anthropic_server_answers import ANSWER, THOUGHT
from bedrock_server import BedrockServer
from bedrock_server_credentials import BEDROCK_KEY, STATIC, Identity
from bedrock_server_models import ACCOUNT, PROFILE
from credential_service import CredentialService
from gateway_process import GatewayProcess, Licence, eventually
from hostile import Hostile
from in_time import unhurried
from openai import APIStatusError
from plain_http import HTTP
from sdk_talk import WEATHER, Talk, cost, described, rates, result, sent, talking, user

Gateways = Callable[..., GatewayProcess]
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILES = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile"
NOVA = "amazon/nova-lite"


def post(gateway: GatewayProcess, licence: Licence, model: str, content: Any = "Hello") -> httpx.Response:
    headers = licence.headers | {"x-quantized-provider": "bedrock"}
    said = content if isinstance(content, list) else f"{content} {licence.marker}"
    body = {"model": model, "messages": [user(said)]}
    return HTTP.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)


def says(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


@pytest.mark.parametrize(
    ("name", "sent_as"),
    [
        ("anthropic/claude-sonnet-4.5", f"us.{SONNET}"),
        ("anthropic/claude-sonnet-4-5", f"us.{SONNET}"),
        (f"us.{SONNET}", f"us.{SONNET}"),
        (f"global.{SONNET}", f"global.{SONNET}"),
        (f"{PROFILES}/us.{SONNET}", f"{PROFILES}/us.{SONNET}"),
        (f"{PROFILES}/global.{SONNET}", f"{PROFILES}/global.{SONNET}"),
        ("anthropic/claude-opus-4.8", "us.anthropic.claude-opus-4-8"),
        ("amazon/nova-lite", "us.amazon.nova-lite-v1:0"),
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        (PROFILE, PROFILE),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
        ),
        ("meta-llama/llama-3.3-70b-instruct", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("meta/llama3-3-70b-instruct", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("mistral/mistral-large-3-675b-instruct", "mistral.mistral-large-3-675b-instruct"),
        ("openai/gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
    ],
)
def test_row_30_models_go_by_every_name_they_have(
    converse: Talk, bedrock: BedrockServer, bedrock_gateway: GatewayProcess, name: str, sent_as: str
) -> None:
    """The path is encoded as AWS does it, and the server has computed its signature again."""
    heard = converse.ask("Hello", model=name)
    assert heard.text == ANSWER
    seen = sent(bedrock, converse)
    way = "converse-stream" if converse.streams else "converse"
    assert seen.path == f"/model/{sent_as.replace(':', '%3A').replace('/', '%2F')}/{way}"
    assert seen.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={STATIC.access_key}/")
    assert "modelId" not in seen.body
    rate = rates(bedrock_gateway, converse.licence, name, "bedrock")
    assert heard.counts.credits == cost(rate, heard.counts)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        (
            f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abc123",
            400,
            "model_not_priced",
        ),
        (f"arn:aws:bedrock:us-east-1:{ACCOUNT}:provisioned-model/abc123def456", 400, "model_not_priced"),
        ("cohere.command-r-v1:0", 400, "model_not_priced"),
        ("vendor.of-tomorrow-v1:0", 400, "model_not_priced"),
        ("anthropic/claude-of-tomorrow", 404, "model_not_found"),
        ("gpt-4.1", 404, "model_not_found"),
        ("nonsense", 404, "model_not_found"),
    ],
)
def test_what_has_no_price_is_not_called(
    bedrock_gateway: GatewayProcess, bedrock: BedrockServer, name: str, status: int, code: str
) -> None:
    licence = bedrock_gateway.licence()
    answer = post(bedrock_gateway, licence, name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert bedrock.seen(licence.marker) == []


def test_the_way_to_a_model_has_its_own_price(bedrock_gateway: GatewayProcess) -> None:
    licence = bedrock_gateway.licence()
    here, world = (rates(bedrock_gateway, licence, f"{way}.{SONNET}", "bedrock") for way in ("us", "global"))
    assert (here["input"], world["input"]) == (3_300_000, 3_000_000)
    assert (here["cache_write_1h"], world["cache_write_1h"]) == (6_600_000, 6_000_000)
    assert rates(bedrock_gateway, licence, f"{PROFILES}/global.{SONNET}", "bedrock") == world
    assert rates(bedrock_gateway, licence, "anthropic/claude-sonnet-4.5", "bedrock") == here


def test_the_models_are_listed_with_their_rates(bedrock_gateway: GatewayProcess) -> None:
    with talking(bedrock_gateway, "chat", False, bedrock_gateway.licence(), "bedrock") as talk:
        listed = {model.id: model.model_dump() for model in talk.client.models.list().data}
        one = talk.client.models.retrieve("anthropic/claude-haiku-4.5").model_dump()
    assert {"anthropic", "amazon", "meta", "mistral"} <= {name.partition("/")[0] for name in listed}
    assert len(listed) > 50
    assert one == listed["anthropic/claude-haiku-4.5"]
    assert (one["context_window"], one["max_output_tokens"]) == (200_000, 64_000)
    assert {"tool_calls", "structured_output", "reasoning"} <= set(one["supported_features"])
    assert one["cost_per_million"]["input"] == 1_100_000
    assert one["cost"]["web_search"] is None
    nova = listed[NOVA]
    assert (nova["model_author"], nova["input_modality"]["image"]) == ("amazon", True)
    assert nova["cost_per_million"]["cached_input"] * 4 == nova["cost_per_million"]["input"]


def test_nobody_is_sent_to_bedrock_unasked(bedrock_gateway: GatewayProcess, bedrock: BedrockServer) -> None:
    licence = bedrock_gateway.licence()
    body = {"model": NOVA, "messages": [user(licence.marker)]}
    url = f"{bedrock_gateway.url}/v1/chat/completions"
    assert HTTP.post(url, json=body, headers=licence.headers).status_code == 404
    assert bedrock.seen(licence.marker) == []


def test_a_turn_taken_elsewhere_carries_no_thought_of_another(
    make_gateway: Gateways,
    running_messages_api: AnthropicServer,
    messages_api: AnthropicServer,
    bedrock: BedrockServer,
) -> None:
    """From one family to another, from Bedrock to Anthropic's own API, and back to whom it belongs to."""
    gateway = make_gateway(
        "",
        ANTHROPIC_API_KEY=ANTHROPIC_KEY,
        ANTHROPIC_BASE_URL=running_messages_api.url,
        AWS_REGION="us-east-1",
        AWS_BEARER_TOKEN_BEDROCK=BEDROCK_KEY,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=bedrock.url,
    )
    gateway.start()
    more: dict[str, Any] = {"tools": [WEATHER], "model": "anthropic/claude-sonnet-4.5"}
    thinking = more | {"reasoning": {"effort": "low"}}
    question: list[Any] = ["do:think-tool"]
    elsewhere = {"x-quantized-provider": "anthropic"}
    for surface in ("chat", "responses"):
        with talking(gateway, surface, False, gateway.licence("1000"), "bedrock") as talk:
            first = talk.ask(*question, **thinking)
            assert first.reasoning == THOUGHT
            reply = result(first.calls[0])
            for other in (NOVA, "meta/llama3-3-70b-instruct"):
                talk.again(question, first, reply, **more | {"model": other})
                if surface == "responses":
                    talk.go_on(first, reply, **more | {"model": other})
            talk.again(question, first, reply, **more, extra_headers=elsewhere)
            [there] = messages_api.seen(talk.licence.marker)
            for seen in (*bedrock.seen(talk.licence.marker)[1:], there):
                assert THOUGHT[:12].encode() not in seen.raw
                assert b"signature" not in seen.raw and b"reasoning" not in seen.raw
            talk.again(question, first, reply, **thinking)
            content = sent(bedrock, talk).body["messages"][1]["content"]
            assert "reasoningContent" in content[0]
            # And what was thought there stays away from here.
            abroad = talk.ask(*question, **thinking, extra_headers=elsewhere)
            talk.again(question, abroad, result(abroad.calls[0]), **more)
            assert b"reasoningContent" not in sent(bedrock, talk).raw


def test_a_server_of_another_language_gets_no_thought(
    bedrock_gateway: GatewayProcess, bedrock: BedrockServer, hostile: Hostile
) -> None:
    question: list[Any] = ["do:think-tool"]
    other: dict[str, Any] = {"model": "hostile/plain", "extra_headers": {"x-quantized-provider": "hostile"}}
    for surface in ("chat", "responses"):
        with talking(bedrock_gateway, surface, False, bedrock_gateway.licence("1000"), "bedrock") as talk:
            thinking = {"model": "anthropic/claude-opus-4.8", "reasoning": {"effort": "low"}}
            first = talk.ask(*question, tools=[WEATHER], **thinking)
            talk.again(question, first, result(first.calls[0]), tools=[WEATHER], **other)
            if surface == "responses":
                talk.go_on(first, result(first.calls[0]), tools=[WEATHER], **other)
            for seen in hostile.seen(talk.licence.marker):
                assert THOUGHT[:12].encode() not in seen.raw
                [assistant] = [turn for turn in seen.body["messages"] if turn["role"] == "assistant"]
                assert assistant.keys() == {"role", "content", "tool_calls"}
            assert hostile.seen(talk.licence.marker)


def test_a_profile_of_awss_files_is_used_where_it_is_named(
    make_gateway: Gateways, bedrock: BedrockServer, tmp_path: Path
) -> None:
    """The table's wins over what the environment says, as a profile given to AWS's own tools does."""
    files = tmp_path / "credentials"
    files.write_text(
        "[default]\naws_access_key_id = NOBODY\naws_secret_access_key = nothing\n"
        f"[campus]\naws_access_key_id = {STATIC.access_key}\naws_secret_access_key = {STATIC.secret_key}\n"
    )
    common = {
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
        "AWS_SHARED_CREDENTIALS_FILE": str(files),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    shadowed = {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "nothing"}
    for table, more in (
        ('[providers.bedrock]\nprofile = "campus"', shadowed),
        ("[providers.bedrock]", {"AWS_PROFILE": "campus"}),
    ):
        gateway = make_gateway(table, **common, **more)
        gateway.start()
        assert says(post(gateway, gateway.licence(), NOVA)) == ANSWER


def test_an_api_key_is_shown_as_it_is(make_gateway: Gateways, bedrock: BedrockServer) -> None:
    gateway = make_gateway(
        '[providers.bedrock]\nregion = "us-east-1"\ncaching = "off"',
        AWS_REGION="eu-west-1",
        AWS_BEARER_TOKEN_BEDROCK=BEDROCK_KEY,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=bedrock.url,
        AWS_ACCESS_KEY_ID="not-asked-for",
        AWS_SECRET_ACCESS_KEY="not-asked-for",
        QUANTIZED_DEFAULT_PROVIDER="bedrock",
    )
    gateway.start()
    licence = gateway.licence()
    body = {"model": NOVA, "messages": [user(licence.marker)]}
    url = f"{gateway.url}/v1/chat/completions"
    assert says(HTTP.post(url, json=body, headers=licence.headers)) == ANSWER
    gateway.lines_of(licence)
    [seen] = bedrock.seen(licence.marker)
    assert seen.headers["authorization"] == f"Bearer {BEDROCK_KEY}"
    assert not [name for name in seen.headers if name.startswith("x-amz")]
    assert BEDROCK_KEY not in gateway.log_path.read_text()


def image(url: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": url}}]


@pytest.fixture(scope="module")
def fetching(make_gateway: Gateways, running_bedrock: BedrockServer) -> GatewayProcess:
    gateway = make_gateway(
        "[providers.bedrock]\nfetch_images = true",
        AWS_REGION="us-east-1",
        AWS_BEARER_TOKEN_BEDROCK=BEDROCK_KEY,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=running_bedrock.url,
    )
    gateway.start()
    return gateway


INSIDE = [
    "http://127.0.0.1/a.png",
    "http://localhost/a.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]/a.png",
    "http://[::ffff:10.0.0.1]/a.png",
    "http://2130706433/a.png",
    "http://0x7f.1/a.png",
    "https://10.1.2.3/a.png",
    "http://127.0.0.1:{port}/a.png",
]


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_no_image_is_fetched_from_inside(
    fetching: GatewayProcess, bedrock: BedrockServer, surface: str
) -> None:
    with talking(fetching, surface, False, fetching.licence(), "bedrock") as talk:
        for url in INSIDE:
            with pytest.raises(APIStatusError) as failed:
                talk.ask(user(image(url.format(port=bedrock.port))), model=NOVA)
            told: dict[str, Any] = failed.value.body  # type: ignore[assignment]
            assert (failed.value.status_code, told["code"]) == (400, "invalid_image_url"), url
            where = "messages[0].content[1].image_url.url" if surface == "chat" else "input[0]"
            assert told["param"] == where and where in told["message"]
        assert bedrock.seen(talk.licence.marker) == []
        assert fetching.settled(talk.licence, len(INSIDE)).licence["used"] == 0


def test_nothing_is_fetched_for_who_cannot_pay(fetching: GatewayProcess) -> None:
    answer = post(fetching, fetching.licence("0.000001"), NOVA, image("http://127.0.0.1/a.png"))
    assert answer.status_code == 402


def test_what_needs_no_fetching_works_with_it(fetching: GatewayProcess, bedrock: BedrockServer) -> None:
    licence = fetching.licence()
    png = "data:image/png;base64,iVBORw0KGgowMDAw"
    content = [*image(png), {"type": "text", "text": licence.marker}]
    assert says(post(fetching, licence, NOVA, content)) == ANSWER


FIRST = Identity("ASIAFIRST", "first-secret", "first-token")
SECOND = Identity("ASIASECOND", "second-secret", "second-token")


@pytest.fixture
def role(bedrock: BedrockServer) -> Iterator[CredentialService]:
    """A container's role, good for four seconds at a time: it is renewed after two of them."""
    bedrock.identities |= {one.access_key: one for one in (FIRST, SECOND)}
    service = CredentialService(FIRST, 4)
    yield service
    service.stop()
    assert service.wrong == []
    bedrock.expired.clear()


def by_role(make_gateway: Gateways, bedrock: BedrockServer, role: CredentialService) -> GatewayProcess:
    return make_gateway(
        "[providers.bedrock]\n",
        AWS_REGION="us-east-1",
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=bedrock.url,
        HOME="/nonexistent",
        **role.environ,
    )


def test_a_roles_credentials_are_renewed_before_they_end(
    make_gateway: Gateways, bedrock: BedrockServer, role: CredentialService
) -> None:
    gateway = by_role(make_gateway, bedrock, role)
    gateway.start()
    licence = gateway.licence("1000")
    assert says(post(gateway, licence, NOVA)) == ANSWER
    role.identity = SECOND

    def renewed() -> bool:
        assert says(post(gateway, licence, NOVA)) == ANSWER
        return bedrock.askers[-1] == SECOND.access_key

    eventually(renewed, "the second credentials are in use")
    bedrock.expired.add(FIRST.access_key)
    assert says(post(gateway, licence, NOVA)) == ANSWER
    gateway.lines_of(licence, len(gateway.books(licence).holds))
    log = gateway.log_path.read_text()
    assert not [secret for one in (FIRST, SECOND) for secret in one[1:] if str(secret) in log]


def test_credentials_that_hang_hold_up_nothing(
    make_gateway: Gateways, bedrock: BedrockServer, role: CredentialService
) -> None:
    """Neither the start nor anybody's request, which would wait as long as the credentials do: what is there
    serves until it ends, then it is a 503."""
    role.answers.clear()
    gateway = by_role(make_gateway, bedrock, role)
    gateway.start()
    licence = gateway.licence("1000")
    began = time.monotonic()
    answer = post(gateway, licence, NOVA)
    assert (answer.status_code, time.monotonic() - began < 30) == (503, True)
    line = gateway.line(answer.headers["x-request-id"])
    assert line["level"] == "error" and "credentials" in line["cause"]
    demo = {"model": "quantized/demo", "messages": [user("Hello")]}
    headers = licence.headers | {"x-quantized-provider": "demo"}

    def quick() -> float:
        began = time.monotonic()
        url = f"{gateway.url}/v1/chat/completions"
        assert HTTP.post(url, json=demo, headers=headers).status_code == 200
        return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(lambda _: quick(), range(12))) < 30
    role.answers.set()
    eventually(lambda: post(gateway, licence, NOVA).status_code == 200, "credentials came")
    role.answers.clear()
    asked = role.asked
    eventually(lambda: role.asked > asked, "they are asked for again")
    assert says(post(gateway, licence, NOVA)) == ANSWER
    eventually(lambda: post(gateway, licence, NOVA).status_code == 503, "what was there has ended")
    assert gateway.settled(licence, len(gateway.books(licence).holds))


def test_where_there_are_none_it_is_a_503_and_an_alert(
    make_gateway: Gateways, bedrock: BedrockServer
) -> None:
    gateway = make_gateway(
        "[providers.bedrock]\n",
        AWS_REGION="us-east-1",
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=bedrock.url,
        AWS_EC2_METADATA_DISABLED="true",
        HOME="/nonexistent",
    )
    gateway.start()
    licence = gateway.licence()
    answer = post(gateway, licence, NOVA)
    assert answer.status_code == 503 and "AWS" not in answer.text
    assert gateway.line(answer.headers["x-request-id"])["alert"] is True
    assert gateway.settled(licence).licence["used"] == 0
    listed = described(gateway, licence, NOVA, "bedrock")
    assert json.dumps(listed)


def test_what_takes_long_to_import_is_not_there_for_who_does_not_use_it() -> None:
    slow = {"alembic", "botocore", "genai_prices", "psycopg", "sqlalchemy"}
    code = f"import quantized.app, sys; assert not {slow} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_ready_soon(make_gateway: Gateways, bedrock: BedrockServer) -> None:
    """With credentials to be found in the environment."""
    gateway = make_gateway(
        "[providers.bedrock]",
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID=STATIC.access_key,
        AWS_SECRET_ACCESS_KEY=STATIC.secret_key,
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=bedrock.url,
    )
    fastest = gateway.start()
    for _ in range(5):
        if fastest < unhurried(1.5):
            break
        gateway.stop()
        fastest = min(fastest, gateway.start())
    assert fastest < unhurried(1.5)
    assert says(post(gateway, gateway.licence(), NOVA)) == ANSWER
