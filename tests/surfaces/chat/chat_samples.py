"""Answers as the gateway knows them, and the official client reading what we make of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
from msgspec import Raw

from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    AudioDelta,
    Event,
    LogprobsDelta,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    Started,
    TextDelta,
)
from quantized.core.parts import Seal
from quantized.core.usage import Bill, Usage

STARTED = Started("gen-abc123", "openai/gpt-4.1-mini", 1_719_000_000, "fp_abc123")
BILL = Bill(
    Usage(input=20, cached_read=5, output=5, reasoning=3), credits_used=2400, credits_remaining=997_600
)
LOGPROB = Raw(b'{"token":"Hi","logprob":-0.1,"bytes":[72,105],"top_logprobs":[]}')
CITATION = b'{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":2}}'


def text(index: int, *pieces: str) -> list[Event]:
    return [PartStarted(index, "text"), *(TextDelta(index, piece) for piece in pieces), PartFinished(index)]


def tool_call(index: int, call_id: str, *pieces: str) -> list[Event]:
    deltas = [ArgumentsDelta(index, piece) for piece in pieces]
    return [PartStarted(index, "tool_call", id=call_id, name="get_weather"), *deltas, PartFinished(index)]


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
    "reasoning": [
        PartStarted(0, "reasoning"),
        ReasoningDelta(0, "Let me "),
        ReasoningDelta(0, "think."),
        Sealed(
            0, Seal("a", "reasoning_details", b'[{"type":"reasoning.text","text":"Let me think.","index":0}]')
        ),
        Sealed(0, Seal("a", "reasoning_details", b'{"type":"reasoning.encrypted","data":"x","index":1}')),
        Sealed(0, Seal("a", "another kind", b'"never shown"')),
        PartFinished(0),
        *text(1, "Paris."),
    ],
    "refusal": [PartStarted(0, "refusal"), RefusalDelta(0, "I "), RefusalDelta(0, "won't."), PartFinished(0)],
    "citations": [
        PartStarted(0, "text"),
        TextDelta(0, "Hi"),
        Annotated(0, Raw(CITATION)),
        Annotated(0, Raw(CITATION)),
        PartFinished(0),
    ],
    "images": [
        PartStarted(0, "image", url="data:image/png;base64,AA=="),
        PartFinished(0),
        PartStarted(1, "image", url="https://a.example/b.png"),
        PartFinished(1),
    ],
    "audio": [
        PartStarted(0, "audio"),
        AudioDelta(0, id="audio_1", data="UklG", transcript="He"),
        AudioDelta(0, id="audio_1", data="Rg==", transcript="llo"),
        AudioDelta(0, expires_at=1_719_003_600),
        AudioDelta(0, expires_at=1_719_003_600),
        PartFinished(0),
    ],
    "logprobs": [
        PartStarted(0, "text"),
        TextDelta(0, "Hi"),
        LogprobsDelta(content=(LOGPROB,)),
        TextDelta(0, "Hi"),
        LogprobsDelta(content=(LOGPROB, LOGPROB)),
        PartFinished(0),
    ],
}


@contextmanager
def client_reading(body: bytes, content_type: str, status: int = 200) -> Iterator[openai.OpenAI]:
    """OpenAI's client at a real server that answers every request with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
