"""The tapes held against botocore, and every answer held against what goes back of it.

botocore says what Bedrock can say: it reads every frame and every body, and adds up from a stream the message
that the body holds.
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import botocore.session
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.model import OperationModel
from botocore.parsers import create_parser
from botocore.validate import ParamValidator
from converse_tapes import TAPES, files
from msgspec.structs import replace
from replayed import ASKED, going_on, stored, through_chat
from responses_samples import taped_stream
from taped import BODIES, BROKEN_STREAMS, CONVERSE, REQUEST, STREAMS, is_converse

from quantized.core.fold import Answer, fold
from quantized.core.request import Message
from quantized.providers.provider import Target

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
STREAM: OperationModel = SERVICE.operation_model("ConverseStream")
EVENTS = STREAM.output_shape.members["stream"]
WHOLE = SERVICE.operation_model("Converse").output_shape
PARSER = create_parser("rest-json")

NAMES = [f"bedrock_{name}" for name in TAPES]
tapes = pytest.mark.parametrize("name", NAMES)
# A caller is shown pictures, and cannot send them back as an answer.
backs = pytest.mark.parametrize("name", [name for name in NAMES if name != "bedrock_nova_image"])

MODELS = {
    "claude": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "nova": "us.amazon.nova-2-lite-v1:0",
    "llama": "us.meta.llama3-3-70b-instruct-v1:0",
    "mistral": "mistral.mistral-large-3-675b-instruct",
    "deepseek": "deepseek.v3.2",
    "gpt": "openai.gpt-oss-120b-1:0",
    "qwen": "qwen.qwen3-32b-v1:0",
}


def test_the_files_are_what_their_text_says():
    written = dict(files())
    here = {path for folder in {path.parent for path in written} for path in folder.glob("bedrock_*")}
    assert here == set(written)
    assert all(path.read_bytes() == content for path, content in written.items())


def as_json(value: Any) -> Any:
    """What botocore reads, as it was sent."""
    match value:
        case dict():
            return {name: as_json(inner) for name, inner in value.items()}
        case list():
            return [as_json(inner) for inner in value]
        case bytes():
            return b64encode(value).decode()
    return value


def read_by_botocore(tape: bytes) -> Iterable[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """(headers, payload, what is read of it) of each frame."""
    buffer = EventStreamBuffer()
    buffer.add_data(tape)
    for message in buffer:
        payload = json.loads(message.payload) if message.payload else {}
        yield (
            dict(message.headers),
            payload,
            PARSER._event_stream_parser.parse(message.to_response_dict(), EVENTS),
        )


@tapes
def test_botocore_reads_every_frame_in_full(name):
    for headers, payload, read in read_by_botocore(STREAMS[name]):
        kind = headers[":event-type"]
        assert ParamValidator().validate(read[kind], EVENTS.members[kind]).has_errors() is False
        payload.pop("p")
        assert as_json(read) == {kind: payload}


@tapes
def test_botocore_reads_every_body_in_full(name):
    response = {"status_code": 200, "headers": {}, "body": BODIES[name]}
    read = PARSER.parse(response, WHOLE)
    del read["ResponseMetadata"]
    assert not ParamValidator().validate(read, WHOLE).has_errors()
    assert as_json(read) == json.loads(BODIES[name])


def test_the_tapes_show_everything_that_botocore_knows():
    kinds, pieces, thoughts, starts, reasons, blocks = (set[str]() for _ in range(6))
    for name in NAMES:
        for headers, payload, _ in read_by_botocore(STREAMS[name]):
            kinds.add(headers[":event-type"])
            delta = payload.get("delta", {})
            pieces |= delta.keys()
            thoughts |= delta.get("reasoningContent", {}).keys()
            starts |= payload.get("start", {}).keys()
        body = json.loads(BODIES[name])
        reasons.add(body["stopReason"])
        blocks |= {member for block in body["output"]["message"]["content"] for member in block}
    failing = {member for member in EVENTS.members if member.endswith("Exception")}
    assert kinds == set(EVENTS.members) - failing
    assert pieces == set(SERVICE.shape_for("ContentBlockDelta").members)
    assert thoughts == set(SERVICE.shape_for("ReasoningContentBlockDelta").members)
    assert starts == set(SERVICE.shape_for("ContentBlockStart").members)
    malformed = {reason for reason in SERVICE.shape_for("StopReason").enum if reason.startswith("malformed")}
    assert reasons == set(SERVICE.shape_for("StopReason").enum) - malformed
    callers = {"audio", "cachePoint", "document", "guardContent", "searchResult", "video"}
    tools = {"toolAddition", "toolRemoval"}
    assert blocks == set(SERVICE.shape_for("ContentBlock").members) - callers - tools
    assert {headers[":exception-type"] for headers, _, _ in EXCEPTIONS.values()} == failing
    assert malformed <= {name.removeprefix("bedrock_") for name in BROKEN_STREAMS}


def read_exceptions(tape: bytes) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    return [read for read in read_by_botocore(tape) if ":exception-type" in read[0]]


EXCEPTIONS = {
    name: read
    for name, tape in BROKEN_STREAMS.items()
    if is_converse(name) and b":exception-type" in tape
    for read in read_exceptions(tape)
    # What botocore does not know of a stream, it knows of a status or not at all.
    if read[0][":exception-type"] in EVENTS.members
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_botocore_reads_every_exception(name):
    headers, payload, read = EXCEPTIONS[name]
    assert read["Error"] == {"Code": headers[":exception-type"], "Message": payload["message"]}


def added_up(tape: bytes) -> list[dict[str, Any]]:
    """The content of the message that a stream tells, by botocore's reading of it."""
    blocks: dict[int, dict[str, Any]] = {}
    for _, _, read in read_by_botocore(tape):
        ((kind, told),) = read.items()
        if kind == "contentBlockStart" and "toolUse" in told["start"]:
            blocks[told["contentBlockIndex"]] = {"toolUse": {**told["start"]["toolUse"], "input": ""}}
        if kind != "contentBlockDelta":
            continue
        block = blocks.setdefault(told["contentBlockIndex"], {})
        match told["delta"]:
            case {"text": text}:
                block["text"] = block.get("text", "") + text
            case {"toolUse": piece}:
                block["toolUse"]["input"] += piece["input"]
            case {"reasoningContent": {"redactedContent": data}}:
                thought = block.setdefault("reasoningContent", {"redactedContent": b""})
                thought["redactedContent"] += data
            case {"reasoningContent": piece}:
                thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
                for field, more in piece.items():
                    thought["reasoningText"][field] = thought["reasoningText"].get(field, "") + more
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return [as_json(block) for _, block in sorted(blocks.items())]


def comparable(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts that follow one another as one, without citations, which are for the reader. What says nothing,
    what nobody signed and what the server's own tools did does not go back."""
    plain: list[dict[str, Any]] = []
    for block in content:
        match block:
            case {"citationsContent": cited}:
                plain.append({"text": "".join([piece["text"] for piece in cited["content"]])})
            case {"reasoningContent": {"reasoningText": {"signature": _}}}:
                plain.append(block)
            case {"reasoningContent": {"reasoningText": _}} | {"toolUse": {"type": _}} | {"toolResult": _}:
                pass
            case {"toolUse": _} | {"reasoningContent": _}:
                plain.append(block)
            case {"text": text} if text:
                plain.append(block)
    joined: list[dict[str, Any]] = []
    for is_text, run in groupby(plain, lambda block: "text" in block):
        if is_text:
            joined.append({"text": "".join([block["text"] for block in run])})
        else:
            joined.extend(run)
    return joined


@backs
def test_botocore_adds_the_stream_up_to_the_body(name):
    assert comparable(added_up(STREAMS[name])) == comparable(content_of(name))


def content_of(name: str) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(BODIES[name])["output"]["message"]["content"]
    return content


def model_of(name: str) -> str:
    return MODELS.get(name.split("_")[1], "an-imported-model")


def decoded(name: str, *, streamed: bool) -> Answer:
    request = replace(REQUEST, model=model_of(name))
    if not streamed:
        return fold(CONVERSE.decode_body(request, BODIES[name]))
    decoder = CONVERSE.decoder(request)
    told = [event for _, told in decoder.feed(STREAMS[name]) for event in told]
    return fold([*told, *decoder.close()])


def sent_back(messages: Iterable[Message], model: str) -> list[dict[str, Any]]:
    """The assistant's blocks of a request that goes on after these messages."""
    body = json.loads(CONVERSE.encode(going_on(messages), Target(model, 4096)).body)
    content = [block for turn in body["messages"] if turn["role"] == "assistant" for block in turn["content"]]
    return comparable([block for block in content if "cachePoint" not in block])


@backs
@pytest.mark.parametrize("streamed", [True, False])
def test_what_was_stored_goes_back_as_it_came(name, streamed):
    answer = stored(decoded(name, streamed=streamed))
    assert sent_back([ASKED, answer], model_of(name)) == comparable(content_of(name))


@backs
@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_chat_client_sends_back_goes_back_as_it_came(name, streamed):
    kept = through_chat(decoded(name, streamed=streamed))
    assert sent_back(kept, model_of(name)) == comparable(content_of(name))


@pytest.mark.parametrize("model", ["us.amazon.nova-2-lite-v1:0", "deepseek.v3.2", "an-imported-model"])
@pytest.mark.parametrize("name", [name for name in NAMES if "thinking" in name])
def test_no_other_family_is_sent_what_one_has_signed(name, model):
    answer = stored(decoded(name, streamed=True))
    plain = [block for block in content_of(name) if "reasoningContent" not in block]
    assert sent_back([ASKED, answer], model) == comparable(plain)


@backs
def test_what_a_response_kept_goes_back_as_it_came(name):
    _, turn = taped_stream(name)
    # The tapes of responses are of a model that nobody knows.
    assert sent_back(turn.messages, "author/model") == comparable(content_of(name))
