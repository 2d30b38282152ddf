"""Signatures, judged by botocore from what a server received."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from aws_oracle import expected_authorization
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import PATIENT, Server, holding

from quantized.core.errors import ProviderUnavailable
from quantized.providers.bedrock.credentials import AwsCredentials
from quantized.providers.bedrock.endpoint import converse_url, runtime_url
from quantized.providers.bedrock.signing import BearerToken, Signer
from quantized.providers.provider import UpstreamCall
from quantized.upstream.pool import Pool

NOW = datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)
ROLE = AwsCredentials("ASIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token+with=signs==")
USER = AwsCredentials("AKIAEXAMPLE", "another/secret")

MODELS = [
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "us.amazon.nova-lite-v1:0",
    "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/my model é%2F~",
]


def signer(credentials: AwsCredentials = ROLE, region: str = "eu-central-1") -> Signer:
    return Signer(lambda _: credentials, region)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("credentials", [ROLE, USER])
async def test_what_a_server_received_is_signed(
    server: Server, pool: Pool, model: str, credentials: AwsCredentials
) -> None:
    seen = []

    async def script(peer) -> None:
        seen.append(await peer.answer())
        await peer.gone()

    server.serve(script)
    base = f"http://127.0.0.1:{server.port}"
    headers = (
        ("content-type", "application/json"),
        ("accept", "application/vnd.amazon.eventstream"),
        ("user-agent", "quantized"),
        ("x-amzn-bedrock-trace", " a   b "),
    )
    call = UpstreamCall(converse_url(base, model, stream=True), headers, b'{"messages":[]}')
    response = await pool.send(signer(credentials).authorize(call, NOW), PATIENT)
    assert await response.read(100) == b"hello"
    [received] = seen
    method, target, _ = received.line.split(" ")
    assert target.count("/") == 3
    url = f"http://{received.header('host')}{target}"
    authorization = received.header("authorization")
    assert authorization == expected_authorization(
        method, url, received.headers, received.body, credentials.secret_key
    )
    for name in ("host", "x-amz-date", "content-type", "x-amzn-bedrock-trace"):
        assert name in authorization
    assert "user-agent" not in authorization
    assert received.header("x-amz-date") == "20260301T235958Z"
    assert received.header("x-amz-security-token") == credentials.token
    assert ("x-amz-security-token" in authorization) == (credentials.token is not None)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [True, False])
def test_the_url_of_a_model_is_the_one_that_botocore_calls(model: str, stream: bool) -> None:
    client = Session().create_client(
        "bedrock-runtime", "eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    called = []

    def instead_of_sending(request, **_):
        called.append(request.url)
        raise ConnectionAbortedError

    client.meta.events.register("before-send", instead_of_sending)
    message = {"role": "user", "content": [{"text": "x"}]}
    with pytest.raises(ConnectionAbortedError):
        (client.converse_stream if stream else client.converse)(modelId=model, messages=[message])
    assert called == [converse_url(runtime_url("eu-central-1"), model, stream=stream)]


def test_places() -> None:
    assert runtime_url("cn-north-1") == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert runtime_url("us-east-1", "https://vpce.example/base/") == "https://vpce.example/base"
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="is no model id"):
            converse_url("https://x", name, stream=False)


VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
SEGMENTS = st.sampled_from(["", ".", "..", "a", "%2F", "b%3Ac", "~-_", "(x)'!*$&+,;=@:", "model"])
URLS = st.builds(
    lambda scheme, host, port, path, query: (
        f"{scheme}://{host}{port}/{'/'.join(path)}{'?' if query else ''}{'&'.join(query)}"
    ),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["h.example", "H.Example", "127.0.0.1", "[::1]"]),
    st.sampled_from(["", ":80", ":443", ":8443"]),
    st.lists(SEGMENTS, max_size=5),
    st.lists(st.sampled_from(["b=1", "a=2", "a=1", "a", "a=x=y", "%20=%2F"]), max_size=4),
)
NAMES = st.sampled_from(
    ["content-type", "accept", "user-agent", "x-a", "x-amz-a", "x-amz-z", "x-amzn-trace-id", "traceparent"]
)


@given(
    URLS,
    st.lists(st.tuples(NAMES, st.lists(VISIBLE, max_size=3).map("  ".join)), max_size=6),
    st.binary(max_size=100),
    st.sampled_from([ROLE, USER]),
)
def test_any_request_is_signed_as_botocore_does(url, headers, body, credentials) -> None:
    call = signer(credentials).authorize(UpstreamCall(url, tuple(headers), body), NOW)
    assert dict(call.once)["authorization"] == expected_authorization(
        "POST", url, (*call.headers, *call.once), body, credentials.secret_key
    )
    assert (call.url, call.body, call.headers) == (url, body, tuple(headers))


def test_the_key_of_a_day_and_of_credentials_ends_with_them() -> None:
    current = [ROLE]
    signing = Signer(lambda _: current[0], "us-east-1")
    for credentials, now in (
        (ROLE, NOW),
        (ROLE, NOW + timedelta(seconds=2)),
        (USER, NOW),
        (USER, NOW),
        (AwsCredentials(USER.access_key, "changed"), NOW),
    ):
        current[0] = credentials
        call = signing.authorize(UpstreamCall("https://h.example/", (), b""), now)
        assert dict(call.once)["authorization"] == expected_authorization(
            "POST", call.url, call.once, b"", credentials.secret_key
        )


def test_a_second_signature_replaces_the_first() -> None:
    call = UpstreamCall("https://h.example/", (("accept", "*/*"),), b"")
    first = signer(ROLE).authorize(call, NOW)
    assert signer(USER).authorize(first, NOW) == signer(USER).authorize(call, NOW)
    assert BearerToken("t").authorize(first, NOW) == BearerToken("t").authorize(call, NOW)


def test_the_time_of_another_zone_is_told_in_utc() -> None:
    here = NOW.astimezone(timezone(timedelta(hours=-7)))
    call = UpstreamCall("https://h.example/", (), b"")
    assert signer().authorize(call, here) == signer().authorize(call, NOW)


async def test_a_bearer_token_is_all_there_is(server: Server, pool: Pool) -> None:
    server.serve(holding(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"))
    call = BearerToken("bedrock-api-key-x").authorize(server.call(b"{}", ("accept", "*/*")), NOW)
    assert call.headers == (("accept", "*/*"), ("authorization", "Bearer bedrock-api-key-x"))
    assert (await pool.send(call, PATIENT)).status == 200


def test_without_credentials_nothing_is_signed() -> None:
    def none(now: int) -> AwsCredentials:
        assert now == 1772409598000
        raise ProviderUnavailable(cause="none", alert=True)

    with pytest.raises(ProviderUnavailable):
        Signer(none, "us-east-1").authorize(UpstreamCall("https://h.example/", (), b""), NOW)
