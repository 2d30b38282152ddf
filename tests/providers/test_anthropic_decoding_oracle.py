"""The tapes held against the official package, and every answer held against what goes back of it.

The package says what the API can say: each tape is of its types, and it reads from the tape the message whose
blocks we send back.
"""

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any, get_args

import anthropic
import httpx2
import pytest
from anthropic.types import Message as ApiMessage
from anthropic.types import RawMessageStreamEvent
from anthropic.types.content_block import ContentBlock
from pydantic import TypeAdapter
from replayed import ASKED, going_on, stored, through_chat
from responses_samples import taped_stream
from taped import BODIES, MESSAGES, REQUEST, STREAMS, is_messages

from quantized.core.fold import Answer, fold
from quantized.core.parts import Refusal
from quantized.core.request import Message
from quantized.providers.provider import Target

TAPES = [name for name in STREAMS if is_messages(name)]
NOBODYS = "anthropic_unknown"
"""The tape of what no version of the package knows."""

tapes = pytest.mark.parametrize("name", TAPES)
known = pytest.mark.parametrize("name", [name for name in TAPES if name != NOBODYS])

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
TARGET = Target("claude-opus-4-5", 4096)


def events(tape: bytes) -> list[bytes]:
    frames = tape.replace(b"\r\n", b"\n").split(b"\n\n")
    payloads = [frame.rpartition(b"data: ")[2] for frame in frames if frame]
    # The package reads pings itself, before anything is of a type.
    return [payload for payload in payloads if json.loads(payload)["type"] != "ping"]


@known
def test_a_tape_is_of_the_packages_types(name):
    for payload in events(STREAMS[name]):
        EVENT.validate_json(payload, strict=True)
    ApiMessage.model_validate_json(BODIES[name], strict=True)


def test_the_tapes_show_every_block_and_every_piece_that_the_package_knows():
    blocks, pieces = set(), set()
    for name in TAPES:
        if name == NOBODYS:
            continue
        blocks |= {block.type for block in ApiMessage.model_validate_json(BODIES[name]).content}
        for payload in map(json.loads, events(STREAMS[name])):
            pieces.add(payload["type"])
            if payload["type"] == "content_block_delta":
                pieces.add(payload["delta"]["type"])
    union = get_args(get_args(ContentBlock)[0])
    every = {get_args(kind.model_fields["type"].annotation)[0] for kind in union}
    # Nobody's code is run in a container, so none can hand over a file.
    assert blocks == every - {"container_upload"}
    assert pieces == {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta"),
    }


def read_by_package(tape: bytes) -> dict[str, Any]:
    """The message that the package's client adds up from a tape."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=tape)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        anthropic.Anthropic(api_key="key", base_url="http://taped.invalid", http_client=http) as client,
        client.messages.stream(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        return stream.get_final_message().model_dump(mode="json", exclude_unset=True)


def sent_back(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The assistant's blocks of a request that goes on after these messages."""
    sent = json.loads(MESSAGES.encode(going_on(messages), TARGET).body)["messages"]
    return [block for message in sent if message["role"] == "assistant" for block in message["content"]]


def comparable(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts that follow one another as one, unless they cite the web: other citations are for the reader.
    What says nothing and what nobody signed does not go back."""
    blocks = [
        block
        for block in map(citing_the_web, content)
        if not (block["type"] == "text" and not block["text"])
        and not (block["type"] == "thinking" and not block["signature"])
    ]
    joined: list[dict[str, Any]] = []
    for is_plain, run in groupby(blocks, lambda block: block.keys() == {"type", "text"}):
        if is_plain:
            joined.append({"type": "text", "text": "".join([block["text"] for block in run])})
        else:
            joined.extend(run)
    return joined


def citing_the_web(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] != "text":
        return block
    web = [one for one in block.get("citations") or () if one["type"] == "web_search_result_location"]
    return {"type": "text", "text": block["text"], **({"citations": web} if web else {})}


def expected(name: str) -> list[dict[str, Any]]:
    body = json.loads(BODIES[name])
    content = list(body["content"])
    if (body.get("stop_details") or {}).get("explanation"):
        # What the caller read goes back as it was read.
        refusal = fold(MESSAGES.decode_body(REQUEST, BODIES[name])).parts[-1]
        assert isinstance(refusal, Refusal)
        content.append({"type": "text", "text": refusal.text})
    return comparable([block for block in content if block != {"type": "divider"}])


def decoded(name: str, *, streamed: bool) -> Answer:
    if not streamed:
        return fold(MESSAGES.decode_body(REQUEST, BODIES[name]))
    decoder = MESSAGES.decoder(REQUEST)
    told = [event for _, told in decoder.feed(STREAMS[name]) for event in told]
    return fold([*told, *decoder.close()])


@tapes
@pytest.mark.parametrize("streamed", [True, False])
def test_what_was_stored_goes_back_as_it_came(name, streamed):
    answer = stored(decoded(name, streamed=streamed))
    assert comparable(sent_back([ASKED, answer])) == expected(name)


@tapes
@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_chat_client_sends_back_goes_back_as_it_came(name, streamed):
    """One message: its texts are one text by then, its calls and its blocks apart from it."""
    kept = through_chat(decoded(name, streamed=streamed))
    assert comparable(sent_back(kept)) == expected(name)


@tapes
def test_what_a_response_kept_goes_back_as_it_came(name):
    _, turn = taped_stream(name)
    assert comparable(sent_back(turn.messages)) == expected(name)


@pytest.mark.parametrize("name", [name for name in TAPES if name not in {NOBODYS, "anthropic_imitated"}])
def test_the_package_reads_the_message_whose_blocks_go_back(name):
    read = read_by_package(STREAMS[name])
    answer = stored(decoded(name, streamed=True))
    back = comparable(sent_back([ASKED, answer]))
    if not (read.get("stop_details") or {}).get("explanation"):
        assert back == comparable(read["content"])
    assert read["stop_reason"] == json.loads(BODIES[name])["stop_reason"]
    counted = decoded(name, streamed=True).usage
    assert counted is not None
    assert counted.output_total == read["usage"]["output_tokens"]
    assert counted.input == read["usage"]["input_tokens"]
