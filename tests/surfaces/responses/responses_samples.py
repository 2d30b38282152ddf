"""Answers of every shape and on tape, and what a client of responses reads of them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
from msgspec import Raw
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from taped import ALL_STREAMS, BODIES, BROKEN_STREAMS, REQUEST, STREAMS, provider_of

from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    AudioDelta,
    Event,
    Finished,
    FinishReason,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    Started,
    TextDelta,
)
from quantized.core.fold import Answer, fold
from quantized.core.parts import Seal
from quantized.core.turns import Found, Turn
from quantized.core.usage import Bill, Usage
from quantized.surfaces.responses.compose import Conversation
from quantized.surfaces.responses.render import Identity
from quantized.surfaces.responses.surface import ResponsesSurface

SURFACE = ResponsesSurface()
IDENTITY = Identity("resp-0a1b2c", 1_719_000_000)
STARTED = Started("gen-abc123", "openai/gpt-4.1-mini", 1_719_000_000)
BILL = Bill(
    Usage(input=20, cached_read=5, output=5, reasoning=3), credits_used=2400, credits_remaining=997_600
)
CITATION = b'{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":2}}'
TAPES = list(STREAMS)
BROKEN_TAPES = list(BROKEN_STREAMS)

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

Frames = list[dict[str, Any]]


def text(index: int, *pieces: str) -> list[Event]:
    return [PartStarted(index, "text"), *(TextDelta(index, piece) for piece in pieces), PartFinished(index)]


def thought(index: int, *pieces: str, seals: tuple[bytes, ...] = ()) -> list[Event]:
    said = [ReasoningDelta(index, piece) for piece in pieces]
    sealed = [Sealed(index, Seal("taped", "reasoning_details", payload)) for payload in seals]
    return [PartStarted(index, "reasoning"), *said, *sealed, PartFinished(index)]


def tool_call(index: int, call_id: str, *pieces: str) -> list[Event]:
    deltas = [ArgumentsDelta(index, piece) for piece in pieces]
    return [PartStarted(index, "tool_call", id=call_id, name="get_weather"), *deltas, PartFinished(index)]


SUMMARY = b'[{"type":"reasoning.summary","summary":"In short.","index":0}]'
SIGNED = b'[{"type":"reasoning.text","text":"Let me think.","signature":"c2ln","index":0}]'
ENCRYPTED = b'[{"type":"reasoning.encrypted","data":"x","index":1}]'

ANSWERS: dict[str, list[Event]] = {
    "text": text(0, "The capital ", "of France", " is Paris.", " 🥐"),
    "empty text": text(0),
    "nothing": [],
    "two texts": [*text(0, "a", "b"), *text(1, "c")],
    "tools": [
        *tool_call(0, "call_1", '{"city":', '"Paris"}'),
        *tool_call(1, "call_2", '{"city":"Rome"}'),
    ],
    "text and interleaved tools": [
        *text(0, "Let me look."),
        PartStarted(1, "tool_call", id="call_1", name="a"),
        PartStarted(2, "tool_call", id="call_2", name="b"),
        ArgumentsDelta(1, "{"),
        ArgumentsDelta(2, '{"x"'),
        ArgumentsDelta(1, "}"),
        ArgumentsDelta(2, ":1}"),
        PartFinished(2),
        PartFinished(1),
    ],
    "tool without arguments": tool_call(0, "call_1"),
    "reasoning": [*thought(0, "Let me ", "think.", seals=(SIGNED, ENCRYPTED)), *text(1, "Paris.")],
    "summary": [*thought(0, "In short.", seals=(SUMMARY, ENCRYPTED)), *tool_call(1, "call_1", "{}")],
    "redacted reasoning": [*thought(0, seals=(ENCRYPTED,)), *text(1, "Paris.")],
    "empty reasoning": [*thought(0), *text(1, "Paris.")],
    "only reasoning": thought(0, "Hm"),
    "refusal": [PartStarted(0, "refusal"), RefusalDelta(0, "I "), RefusalDelta(0, "won't."), PartFinished(0)],
    "empty refusal": [PartStarted(0, "refusal"), PartFinished(0)],
    "citations": [
        PartStarted(0, "text"),
        TextDelta(0, "Hi"),
        Annotated(0, Raw(CITATION)),
        Annotated(0, Raw(CITATION)),
        Annotated(0, Raw(b'{"type":"url_citation","url":"https://b.example","start_index":null}')),
        Annotated(0, Raw(b'{"type":"file","file":{"hash":"h"}}')),
        Annotated(0, Raw(b"7")),
        PartFinished(0),
    ],
    "images": [
        PartStarted(0, "image", url="data:image/png;base64,AA=="),
        PartFinished(0),
        PartStarted(1, "image", url="https://a.example/b.png"),
        PartFinished(1),
        PartStarted(2, "image", url="data:image/tiff;base64,AA=="),
        PartFinished(2),
    ],
    "audio": [
        PartStarted(0, "audio"),
        AudioDelta(0, id="audio_1", data="UklG", transcript="He"),
        AudioDelta(0, data="Rg==", transcript="llo"),
        AudioDelta(0, expires_at=1_719_003_600),
        PartFinished(0),
    ],
}
"""Answers that come part after part."""

_OPEN_TOGETHER: list[Event] = [
    PartStarted(0, "reasoning"),
    ReasoningDelta(0, "First "),
    ReasoningDelta(0, "thought."),
    PartStarted(1, "text"),
    TextDelta(1, "Well, "),
    ReasoningDelta(0, "Second thought."),
    Sealed(0, Seal("taped", "reasoning_details", SIGNED)),
    TextDelta(1, "yes."),
    PartStarted(2, "tool_call", id="call_1", name="f"),
    ArgumentsDelta(2, "{"),
    TextDelta(1, " And more."),
    ArgumentsDelta(2, "}"),
    Annotated(1, Raw(CITATION)),
    PartFinished(0),
    PartFinished(1),
    PartFinished(2),
]

STREAMED = {**ANSWERS, "back and forth": _OPEN_TOGETHER}


def conversation(**fields: Any) -> Conversation:
    body = json.dumps({"model": "openai/gpt-4.1-mini", "input": "Hi", **fields})
    return SURFACE.compose(SURFACE.parse(body.encode()), Found())


def streamed(
    events: list[Event],
    reason: FinishReason = "stop",
    bill: Bill = BILL,
    started: Event = STARTED,
    **fields: Any,
) -> tuple[bytes, Turn]:
    """What a client reads of these events, and what is stored."""
    renderer = SURFACE.renderer(conversation(**fields), IDENTITY)
    said = b"".join([renderer.feed(event) for event in [started, *events]])
    turn = renderer.turn(reason, bill.usage)
    return said + renderer.finish(reason, bill), turn


def taped_events(name: str) -> list[Event]:
    decoder = provider_of(name).decoder(REQUEST)
    told = list(decoder.feed(ALL_STREAMS[name]))
    return [*[event for _, events in told for event in events], *decoder.close()]


def taped_stream(name: str) -> tuple[bytes, Turn]:
    started, *events, end = taped_events(name)
    assert isinstance(end, Finished)
    usage = end.usage or Usage()
    return streamed(events, end.reason, Bill(usage, 1, 2), started)


def taped_body(name: str) -> bytes:
    return BODIES[name]


def taped_answer(name: str) -> Answer:
    return fold(provider_of(name).decode_body(REQUEST, taped_body(name)))


def frames(said: bytes) -> Frames:
    """The payloads of a stream; every frame has its two lines and the stream its end mark."""
    *told, done = [frame for frame in said.split(b"\n\n") if frame]
    assert done == b"data: [DONE]"
    payloads = []
    for frame in told:
        name, data = frame.split(b"\n")
        payload = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + payload["type"].encode()
        payloads.append(payload)
    return payloads


def check_strictly(payloads: Frames) -> None:
    """Every event is one of OpenAI's own."""
    for payload in payloads:
        read = EVENT.validate_json(json.dumps(payload), strict=True)
        assert read.type == payload["type"]


def check_response(body: bytes | dict[str, Any]) -> Response:
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response.model_validate_json(given, strict=True)


@contextmanager
def client_reading(body: bytes, content_type: str, status: int = 200) -> Iterator[openai.OpenAI]:
    """OpenAI's client at a real server that answers every request with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            """Says nothing: a test's output is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/v1"
            with openai.OpenAI(
                api_key="sk-quantized-test",
                base_url=url,
                max_retries=0,
                http_client=openai.DefaultHttpxClient(verify=False),
            ) as client:
                yield client
        finally:
            server.shutdown()
            thread.join()
