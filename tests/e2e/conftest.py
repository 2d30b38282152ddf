import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio
from anthropic_server import ANTHROPIC_KEY, AnthropicServer
from bedrock_server import BedrockServer
from bedrock_server_credentials import STATIC
from bedrock_server_models import PROFILE
from chat_client import Connect, RawClient
from database_copies import Templates
from gateway_process import GatewayProcess, Licence, configuration, eventually
from hostile import UPSTREAM_KEY, Hostile
from hostile_behaviours import BEHAVIOURS
from hostile_thinking import THINKING
from plain_http import HTTP
from sdk_talk import Talk, talking

_LISTED = {
    "id": "listed/model",
    "name": "Listed",
    "created": 1_719_000_000,
    "description": "A model of the list.",
    "context_length": 32_000,
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    "pricing": {"prompt": "0.000001", "completion": "0.000004", "web_search": "0.01"},
    "top_provider": {"context_length": 32_000, "max_completion_tokens": 500},
    "supported_parameters": ["max_tokens", "temperature", "reasoning", "logprobs", "tools"],
}

_UNLIKE = {"listed/unthinking": {"supported_parameters": ["max_tokens", "tools"]}}


class Silent(NamedTuple):
    """Ports where nobody answers: one refuses connections, one leaves them waiting."""

    refusing: int
    waiting: int


@pytest.fixture(scope="session")
def hostile() -> Iterator[Hostile]:
    models = {
        "listed/model": BEHAVIOURS["hostile/plain"],
        "listed/rich": BEHAVIOURS["hostile/rich"],
        "listed/unthinking": BEHAVIOURS["hostile/plain"],
        **{f"listed/{name}": behaviour for name, behaviour in THINKING.items()},
    }
    rows = [_LISTED | {"id": name} | _UNLIKE.get(name, {}) for name in models]
    listed = json.dumps({"data": rows}).encode()
    server = Hostile(BEHAVIOURS | models, {"/openrouter/v1/models": listed})
    server.start()
    yield server
    server.stop()
    assert server.complaints == []


@pytest.fixture(scope="session")
def silent() -> Iterator[Silent]:
    with ExitStack() as sockets:
        refusing = sockets.enter_context(closing(socket.socket()))
        refusing.bind(("127.0.0.1", 0))
        waiting = sockets.enter_context(closing(socket.socket()))
        waiting.bind(("127.0.0.1", 0))
        waiting.listen(0)
        address = waiting.getsockname()
        # The one place in the queue is taken, so that the next connection is not even acknowledged.
        for _ in range(2):
            filler = sockets.enter_context(closing(socket.socket()))
            filler.setblocking(False)
            filler.connect_ex(address)
        yield Silent(refusing.getsockname()[1], address[1])


Gateways = Callable[..., GatewayProcess]


@pytest.fixture(scope="session")
def made_gateways() -> Iterator[list[GatewayProcess]]:
    """The newest last."""
    made: list[GatewayProcess] = []
    yield made
    end(made)


@pytest.fixture(autouse=True)
def _gateways_end_with_their_test(made_gateways: list[GatewayProcess]) -> Iterator[None]:
    """What a test makes for itself keeps no processor from the next. What several share is made before."""
    shared = len(made_gateways)
    yield
    end(made_gateways[shared:])
    del made_gateways[shared:]


def end(gateways: list[GatewayProcess]) -> None:
    for gateway in gateways:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait(50)


@pytest.fixture(scope="session")
def make_gateway(
    hostile: Hostile,
    silent: Silent,
    templates: Templates,
    made_gateways: list[GatewayProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> Gateways:
    """Gateways with `more` at the top of their settings, ready to start."""

    def make(more: str = "", **environ: str) -> GatewayProcess:
        room: Path = tmp_path_factory.mktemp("gateway")
        settings = configuration(hostile, silent.refusing, silent.waiting, more)
        gateway = GatewayProcess(room, settings, environ)
        if "QUANTIZED_DATABASE_URL" not in environ:
            templates.sqlite(gateway.database)
        gateway.cli("init")
        made_gateways.append(gateway)
        return gateway

    return make


@pytest.fixture(scope="session")
def gateway(make_gateway: Gateways, hostile: Hostile) -> Iterator[GatewayProcess]:
    """For whoever is not in a hurry."""
    gateway = make_gateway(
        'key_cache_seconds = 0.3\ncors_origins = ["https://chat.example.edu"]\n'
        "[retries]\nattempts = 2\nlongest_wait = 1.0\n[limits]\nbody_bytes = 1048576\nbody_depth = 32",
        OPENROUTER_API_KEY=UPSTREAM_KEY,
        OPENROUTER_BASE_URL=f"http://127.0.0.1:{hostile.port}/openrouter/v1",
    )
    gateway.start()
    headers = {
        "authorization": f"Bearer {gateway.cli('init')['api_key']}",
        "x-quantized-provider": "openrouter",
    }

    def listed() -> bool:
        return bool(HTTP.get(f"{gateway.url}/v1/models", headers=headers).json()["data"])

    eventually(listed, "the provider's own list has come")
    yield gateway
    assert gateway.stop() in (0, -signal.SIGTERM)


@pytest.fixture(scope="session")
def hasty(make_gateway: Gateways) -> Iterator[GatewayProcess]:
    """Does not wait long for its upstream, and does not try again."""
    gateway = make_gateway(
        "keep_alive_seconds = 0.1\n[retries]\nattempts = 0\n"
        "[limits]\nanswer_bytes = 1048576\nbody_seconds = 3.0\n"
        "[timeouts]\nconnect = 1.0\nfirst_byte = 2.0\nidle = 2.2\ntotal = 6.0"
    )
    gateway.start()
    yield gateway
    assert gateway.stop() in (0, -signal.SIGTERM)


@pytest_asyncio.fixture
async def client(gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        yield client


@pytest_asyncio.fixture
async def hasty_client(hasty: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=hasty.url, timeout=50, verify=False) as client:
        yield client


@pytest.fixture
def licence(gateway: GatewayProcess) -> Licence:
    return gateway.licence()


@pytest.fixture
def hasty_licence(hasty: GatewayProcess) -> Licence:
    return hasty.licence()


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Connect]:
    """Raw connections to a gateway; what a test leaves open is closed after it."""
    clients: list[RawClient] = []

    async def connect(gateway: GatewayProcess, receive_buffer: int | None = None) -> RawClient:
        clients.append(await RawClient.connect(gateway, receive_buffer))
        return clients[-1]

    yield connect
    for client in clients:
        await client.leave()


@pytest.fixture(scope="session")
def running_messages_api() -> Iterator[AnthropicServer]:
    server = AnthropicServer()
    server.start()
    yield server
    server.stop()
    assert server.complaints == []


@pytest.fixture
def messages_api(running_messages_api: AnthropicServer) -> Iterator[AnthropicServer]:
    """Must have had nothing to refuse by the end of a test."""
    running_messages_api.refused.clear()
    yield running_messages_api
    assert running_messages_api.refused == []


@pytest.fixture(scope="session")
def anthropic_gateway(
    make_gateway: Gateways, running_messages_api: AnthropicServer
) -> Iterator[GatewayProcess]:
    gateway = make_gateway(
        "[retries]\nattempts = 2\nlongest_wait = 0.05\n[timeouts]\nfirst_byte = 5.0\nidle = 1.5\n"
        "[providers.anthropic]\nweb_searches = 5",
        ANTHROPIC_API_KEY=ANTHROPIC_KEY,
        ANTHROPIC_BASE_URL=running_messages_api.url,
    )
    gateway.start()
    yield gateway
    assert gateway.stop() in (0, -signal.SIGTERM)


@pytest.fixture(params=["chat", "chat-stream", "responses", "responses-stream"])
def talk(
    request: pytest.FixtureRequest, anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> Iterator[Talk]:
    """On each surface, streamed and not, with a rich licence of its own."""
    surface, _, stream = request.param.partition("-")
    with talking(anthropic_gateway, surface, bool(stream), anthropic_gateway.licence("1000")) as talk:
        yield talk


@pytest.fixture(scope="session")
def running_bedrock() -> Iterator[BedrockServer]:
    server = BedrockServer()
    server.start()
    yield server
    server.stop()
    assert server.complaints == []


@pytest.fixture
def bedrock(running_bedrock: BedrockServer) -> Iterator[BedrockServer]:
    """Must have had nothing to refuse by the end of a test."""
    running_bedrock.refused.clear()
    yield running_bedrock
    assert running_bedrock.refused == []


@pytest.fixture(scope="session")
def bedrock_gateway(make_gateway: Gateways, running_bedrock: BedrockServer) -> Iterator[GatewayProcess]:
    gateway = make_gateway(
        "[retries]\nattempts = 2\nlongest_wait = 0.05\n[timeouts]\nfirst_byte = 5.0\nidle = 1.5\n"
        f'[providers.bedrock.profiles."{PROFILE}"]\nmodel = "anthropic/claude-opus-4.5"',
        AWS_ACCESS_KEY_ID=STATIC.access_key,
        AWS_SECRET_ACCESS_KEY=STATIC.secret_key,
        AWS_REGION="us-east-1",
        AWS_ENDPOINT_URL_BEDROCK_RUNTIME=running_bedrock.url,
    )
    gateway.start()
    yield gateway
    assert gateway.stop() in (0, -signal.SIGTERM)


@pytest.fixture(params=["chat", "chat-stream", "responses", "responses-stream"])
def converse(
    request: pytest.FixtureRequest, bedrock_gateway: GatewayProcess, bedrock: BedrockServer
) -> Iterator[Talk]:
    """As `talk`, with Bedrock."""
    surface, _, stream = request.param.partition("-")
    licence = bedrock_gateway.licence("1000")
    with talking(bedrock_gateway, surface, bool(stream), licence, "bedrock") as talk:
        yield talk
