"""What Bedrock's tapes say, and how they come to be: run as a script, it writes them all.

A tape of binary frames cannot be read or changed by hand, so here is its text: the events of a stream beside
the content of the same answer as a body.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).parent
sys.path.append(str(_HERE.parent / "wire"))

from eventstream_encoder import event, frame  # noqa: E402 (of the room next door)

Json = dict[str, Any]
Events = list[tuple[str, Json]]


class Tape(NamedTuple):
    events: Events
    content: list[Json]
    reason: str = "end_turn"
    usage: Json | None = None
    extra: Json | None = None
    """What a body and the metadata of a stream hold besides."""


def text(index: int, *pieces: str) -> Events:
    """Converse begins a text without saying so."""
    return [*[delta(index, text=piece) for piece in pieces], stop(index)]


def thought(index: int, *pieces: str, signature: str | None = None) -> Events:
    said = [delta(index, reasoningContent={"text": piece}) for piece in pieces]
    signed = [] if signature is None else [delta(index, reasoningContent={"signature": signature})]
    return [*said, *signed, stop(index)]


def redacted(index: int, *pieces: str) -> Events:
    return [*[delta(index, reasoningContent={"redactedContent": piece}) for piece in pieces], stop(index)]


def call(index: int, call_id: str, name: str, *pieces: str, **more: str) -> Events:
    start = {"toolUse": {"toolUseId": call_id, "name": name, **more}}
    pieces_told = [delta(index, toolUse={"input": piece}) for piece in pieces]
    return [("contentBlockStart", {"start": start, "contentBlockIndex": index}), *pieces_told, stop(index)]


def delta(index: int, **member: Any) -> tuple[str, Json]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": member}


def stop(index: int) -> tuple[str, Json]:
    return "contentBlockStop", {"contentBlockIndex": index}


def made(call_id: str, name: str, arguments: Json, **more: str) -> Json:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments, **more}}


def reasoning(text: str, signature: str | None = None) -> Json:
    signed = {"text": text} if signature is None else {"text": text, "signature": signature}
    return {"reasoningContent": {"reasoningText": signed}}


def counted(read: int, wrote: int, **cache: Any) -> Json:
    total = read + wrote + sum(count for count in cache.values() if isinstance(count, int))
    return {"inputTokens": read, "outputTokens": wrote, "totalTokens": total, **cache}


def cache_writes(**by_ttl: int) -> list[Json]:
    """The hour before the five minutes."""
    return [{"ttl": ttl, "inputTokens": by_ttl[name]} for name, ttl in _TTLS.items() if name in by_ttl]


_TTLS = {"hour": "1h", "minutes": "5m"}

START: tuple[str, Json] = ("messageStart", {"role": "assistant"})
USAGE = counted(24, 19)


def message_stop(reason: str = "end_turn") -> tuple[str, Json]:
    return "messageStop", {"stopReason": reason}


def metadata(usage: Json = USAGE, extra: Json | None = None) -> tuple[str, Json]:
    return "metadata", {"usage": usage, "metrics": {"latencyMs": 731}, **(extra or {})}


SIGNATURE = "EqoBCkgIARABGAIiQL0aGVz/dGhlIHNpZ25hdHVyZSBvZiBhIHRob3VnaHQ="
SECOND_SIGNATURE = "EqoBCkgIARABGAIiQMb3dGhlciBzaWduYXR1cmUgb2YgYSB0aG91Z2h0="
# 20 and 11 bytes: in the middle of a stream a piece may end in padding.
SECRET, MORE_SECRET, WHOLE_SECRET = (
    "cmVkYWN0ZWQgYnkgdGhlIG1ha2U=",
    "ciwgYW5kIG1vcmU=",
    "cmVkYWN0ZWQgYnkgdGhlIG1ha2VyLCBhbmQgbW9yZQ==",
)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

WEB: Json = {
    "title": "Paris",
    "location": {"web": {"url": "https://a.example/paris", "domain": "a.example"}},
}
SEARCHED: Json = {
    "title": "Notes",
    "source": "https://notes.example/7",
    "sourceContent": [{"text": "Paris it is."}],
    "location": {"searchResultLocation": {"searchResultIndex": 0, "start": 0, "end": 1}},
}
PAGE: Json = {
    "title": "atlas",
    "sourceContent": [{"text": "Paris is the capital."}],
    "location": {"documentPage": {"documentIndex": 0, "start": 3, "end": 4}},
}
GUARDED: Json = {
    "trace": {
        "guardrail": {
            "inputAssessment": {
                "3o06191495ze": {
                    "topicPolicy": {"topics": [{"name": "Advice", "type": "DENY", "action": "BLOCKED"}]}
                }
            }
        }
    }
}

_PARIS = ("The capital", " of France", " is", " Paris", ".", " 🥐", "\n")
_WEATHER = ('{"ci', 'ty":"Par', 'is","unit":"°C"}')
_PARIS_CALL: Json = {"city": "Paris", "unit": "°C"}


TAPES: dict[str, Tape] = {
    "claude_plain": Tape(text(0, *_PARIS), [{"text": "".join(_PARIS)}]),
    "claude_tools": Tape(
        [*text(0, "Let me", " look."), *call(1, "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "weather", *_WEATHER)],
        [{"text": "Let me look."}, made("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "weather", _PARIS_CALL)],
        "tool_use",
    ),
    "claude_parallel_tools": Tape(
        [
            *call(0, "tooluse_1", "weather", *_WEATHER),
            *call(1, "tooluse_2", "weather", "", '{"city":"Rome"}'),
            *call(2, "tooluse_3", "time", ""),
        ],
        [
            made("tooluse_1", "weather", _PARIS_CALL),
            made("tooluse_2", "weather", {"city": "Rome"}),
            made("tooluse_3", "time", {}),
        ],
        "tool_use",
    ),
    "claude_empty_arguments": Tape(call(0, "tooluse_1", "now"), [made("tooluse_1", "now", {})], "tool_use"),
    "claude_thinking": Tape(
        [*thought(0, "France's", " capital…", signature=SIGNATURE), *text(1, "Paris", ".")],
        [reasoning("France's capital…", SIGNATURE), {"text": "Paris."}],
    ),
    "claude_thinking_tools": Tape(
        [
            *thought(0, "I need", " the weather.", signature=SIGNATURE),
            *text(1, "One moment."),
            *call(2, "tooluse_1", "weather", *_WEATHER),
        ],
        [
            reasoning("I need the weather.", SIGNATURE),
            {"text": "One moment."},
            made("tooluse_1", "weather", _PARIS_CALL),
        ],
        "tool_use",
    ),
    "claude_interleaved_thinking": Tape(
        [
            *thought(0, "First.", signature=SIGNATURE),
            *text(1, "Both", " then."),
            *thought(2, "And the", " second.", signature=SECOND_SIGNATURE),
            *call(3, "tooluse_1", "weather", *_WEATHER),
            *redacted(4, WHOLE_SECRET),
            *call(5, "tooluse_2", "now"),
        ],
        [
            reasoning("First.", SIGNATURE),
            {"text": "Both then."},
            reasoning("And the second.", SECOND_SIGNATURE),
            made("tooluse_1", "weather", _PARIS_CALL),
            {"reasoningContent": {"redactedContent": WHOLE_SECRET}},
            made("tooluse_2", "now", {}),
        ],
        "tool_use",
    ),
    "claude_consecutive_thinking": Tape(
        [
            *thought(0, "One way.", signature=SIGNATURE),
            *thought(1, "Another.", signature=SECOND_SIGNATURE),
            *text(2, "Paris."),
        ],
        [reasoning("One way.", SIGNATURE), reasoning("Another.", SECOND_SIGNATURE), {"text": "Paris."}],
    ),
    "claude_empty_signed_thinking": Tape(
        [*thought(0, "", signature=SIGNATURE), *text(1, "Paris.")],
        [reasoning("", SIGNATURE), {"text": "Paris."}],
    ),
    "claude_redacted_thinking": Tape(
        [*redacted(0, SECRET, MORE_SECRET), *text(1, "Paris.")],
        [{"reasoningContent": {"redactedContent": WHOLE_SECRET}}, {"text": "Paris."}],
    ),
    "claude_cache_read": Tape(
        text(0, "Paris."),
        [{"text": "Paris."}],
        usage=counted(7, 3, cacheReadInputTokens=2_048, cacheWriteInputTokens=0, cacheDetails=[]),
    ),
    "claude_cache_write_5m": Tape(
        text(0, "Paris."),
        [{"text": "Paris."}],
        usage=counted(7, 3, cacheReadInputTokens=0, cacheWriteInputTokens=1_500),
    ),
    "claude_cache_write_1h": Tape(
        text(0, "Paris."),
        [{"text": "Paris."}],
        usage=counted(
            7,
            3,
            cacheReadInputTokens=0,
            cacheWriteInputTokens=4_096,
            cacheDetails=cache_writes(hour=4_096),
        ),
    ),
    "claude_cache_both_ttls": Tape(
        text(0, "Paris."),
        [{"text": "Paris."}],
        usage=counted(
            7,
            3,
            cacheReadInputTokens=1_024,
            cacheWriteInputTokens=5_000,
            cacheDetails=cache_writes(hour=4_000, minutes=1_000),
        ),
    ),
    "claude_citations": Tape(
        [
            *text(0, "I looked: "),
            *[delta(1, text="Paris"), delta(1, citation=WEB), delta(1, citation=PAGE), stop(1)],
            *text(2, " – or, "),
            *[delta(3, citation=SEARCHED), delta(3, text="in"), delta(3, text=" short 🥐"), stop(3)],
            *text(4, "."),
        ],
        [
            {"text": "I looked: "},
            {"citationsContent": {"content": [{"text": "Paris"}], "citations": [WEB, PAGE]}},
            {"text": " – or, "},
            {
                "citationsContent": {
                    "content": [{"text": "in"}, {"text": " short 🥐"}],
                    "citations": [SEARCHED],
                }
            },
            {"text": "."},
        ],
    ),
    "claude_stop_sequence": Tape(text(0, "One, two, "), [{"text": "One, two, "}], "stop_sequence"),
    "claude_context_window": Tape(text(0, "And so"), [{"text": "And so"}], "model_context_window_exceeded"),
    "claude_json_schema": Tape(
        text(0, '{"city"', ': "Paris"}'),
        [{"text": '{"city": "Paris"}'}],
        extra={"serviceTier": {"type": "default"}},
    ),
    "nova_plain": Tape(
        text(0, "", "Paris", " it", " is."),
        [{"text": "Paris it is."}],
        usage=counted(5, 4, cacheReadInputTokens=0, cacheWriteInputTokens=0),
    ),
    "nova_tools": Tape(
        [
            *text(0, "<thinking> Weather", " it is. </thinking>\n"),
            *call(1, "tooluse_nova", "weather", '{"city":"Paris"}'),
        ],
        [
            {"text": "<thinking> Weather it is. </thinking>\n"},
            made("tooluse_nova", "weather", {"city": "Paris"}),
        ],
        "tool_use",
    ),
    "nova_reasoning": Tape(
        [*thought(0, "[REDACTED]"), *text(1, "Paris", ".")], [reasoning("[REDACTED]"), {"text": "Paris."}]
    ),
    "nova_server_tools": Tape(
        [
            *text(0, "I search. "),
            *call(1, "srvtooluse_1", "nova_grounding", '{"query": "Paris"}', type="server_tool_use"),
            (
                "contentBlockStart",
                {
                    "start": {"toolResult": {"toolUseId": "srvtooluse_1", "type": "nova_grounding_result"}},
                    "contentBlockIndex": 2,
                },
            ),
            delta(2, toolResult=[{"json": {"found": 1}}]),
            stop(2),
            *[delta(3, text="Paris."), delta(3, citation=WEB), stop(3)],
        ],
        [
            {"text": "I search. "},
            made("srvtooluse_1", "nova_grounding", {"query": "Paris"}, type="server_tool_use"),
            {
                "toolResult": {
                    "toolUseId": "srvtooluse_1",
                    "content": [{"json": {"found": 1}}],
                    "type": "nova_grounding_result",
                }
            },
            {"citationsContent": {"content": [{"text": "Paris."}], "citations": [WEB]}},
        ],
    ),
    "nova_image": Tape(
        [
            *text(0, "Here: "),
            ("contentBlockStart", {"start": {"image": {"format": "png"}}, "contentBlockIndex": 1}),
            delta(1, image={"source": {"bytes": PIXEL[:40]}}),
            delta(1, image={"source": {"bytes": PIXEL[40:]}}),
            stop(1),
        ],
        [{"text": "Here: "}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}],
    ),
    "llama_plain": Tape(text(0, "\n\n", "Paris", "."), [{"text": "\n\nParis."}]),
    "llama_tools": Tape(
        call(0, "tooluse_llama", "weather", '{"city":"Paris","unit":"°C"}'),
        [made("tooluse_llama", "weather", _PARIS_CALL)],
        "tool_use",
    ),
    "mistral_plain": Tape(text(0, " Paris", "."), [{"text": " Paris."}]),
    "mistral_tools": Tape(
        [*text(0, ""), *call(1, "tooluse_mistral", "weather", *_WEATHER)],
        [made("tooluse_mistral", "weather", _PARIS_CALL)],
        "tool_use",
    ),
    "deepseek_reasoning": Tape(
        [*thought(0, "Okay,", " so", " France."), *text(1, "\n\nParis", ".")],
        [reasoning("Okay, so France."), {"text": "\n\nParis."}],
    ),
    "gpt_oss_reasoning": Tape(
        [*thought(0, "User asks", " capital."), *text(1, "Paris", "."), *call(2, "tooluse_oss", "now", "{}")],
        [reasoning("User asks capital."), {"text": "Paris."}, made("tooluse_oss", "now", {})],
        "tool_use",
    ),
    "qwen_max_tokens": Tape(text(0, "The capital of"), [{"text": "The capital of"}], "max_tokens"),
    "guardrail": Tape(
        text(0, "Sorry, not here."),
        [{"text": "Sorry, not here."}],
        "guardrail_intervened",
        counted(0, 0),
        GUARDED,
    ),
    "content_filtered": Tape(text(0, "The "), [{"text": "The "}], "content_filtered"),
    "nothing_said": Tape([], []),
}


def stream_of(tape: Tape) -> Events:
    usage = USAGE if tape.usage is None else tape.usage
    return [START, *tape.events, message_stop(tape.reason), metadata(usage, tape.extra)]


def body_of(tape: Tape) -> Json:
    return {
        "metrics": {"latencyMs": 731},
        "output": {"message": {"content": tape.content, "role": "assistant"}},
        "stopReason": tape.reason,
        "usage": USAGE if tape.usage is None else tape.usage,
        **(tape.extra or {}),
    }


def framed(events: Events) -> bytes:
    """The frames, each with the filler that hides its length."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return b"".join(
        event(kind, as_json({**payload, "p": alphabet[: 3 + 7 * at % 41]}))
        for at, (kind, payload) in enumerate(events)
    )


def as_json(payload: Json) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def exception(name: str, message: str, **more: Any) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, as_json({"message": message, **more}))


def _unmodeled() -> bytes:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Sorry."}
    return frame(headers, b"")


_BEGUN = framed([START, *text(0, "The capital", " is")])
_CALLED = framed([START, *text(0, "Let me look."), *call(1, "tooluse_1", "weather", *_WEATHER)])
_PLAIN = framed(stream_of(TAPES["claude_plain"]))


def _flipped(tape: bytes, at: int) -> bytes:
    return tape[:at] + bytes([tape[at] ^ 4]) + tape[at + 1 :]


def _ended(events: Events, reason: str = "end_turn") -> bytes:
    return framed([START, *events, message_stop(reason), metadata()])


_BROKEN_STREAMS: dict[str, bytes] = {
    "internal_server": _BEGUN + exception("internalServerException", "The server encountered an error."),
    "model_stream_error": _BEGUN
    + exception(
        "modelStreamErrorException",
        "The model broke off.",
        originalStatusCode=500,
        originalMessage="host 10.0.0.7 is gone",
    ),
    "validation": _BEGUN + exception("validationException", "The model returned the following errors: No."),
    "throttling": _CALLED + exception("throttlingException", "Too many tokens, please wait."),
    "service_unavailable": _BEGUN + exception("serviceUnavailableException", "Try again."),
    "model_timeout": _BEGUN + exception("modelTimeoutException", "The model took too long."),
    "throttling_first": exception("throttlingException", "Too many requests, please wait."),
    "validation_first": exception("validationException", "Input is too long for requested model."),
    "error_message": _BEGUN + _unmodeled(),
    "unknown_exception": _BEGUN + exception("somethingNewException", "Well."),
    "truncated": _PLAIN[: len(_PLAIN) // 2],
    "truncated_metadata": _PLAIN[:-30],
    "no_message_stop": _CALLED,
    "metadata_without_message_stop": _CALLED + framed([metadata()]),
    "no_message_start": framed([*text(0, "Paris."), message_stop(), metadata()]),
    "two_messages": framed([START, *text(0, "Paris."), START, message_stop(), metadata()]),
    "flipped_bit": _flipped(_PLAIN, _PLAIN.index(b"Paris") + 2),
    "flipped_length": _flipped(_PLAIN, len(_BEGUN) // 3),
    "garbage_event": _BEGUN + event("contentBlockDelta", b"{oops") + framed([message_stop(), metadata()]),
    "no_event": _BEGUN + frame({":event-type": "messageStop"}, b"{}") + framed([message_stop(), metadata()]),
    "malformed_model_output": _ended(text(0, "Par"), "malformed_model_output"),
    "malformed_tool_use": _ended(call(0, "tooluse_1", "weather", '{"city'), "malformed_tool_use"),
    "unknown_stop_reason": _ended(text(0, "Paris."), "vibes"),
    "nameless_tool": _ended(call(0, "tooluse_1", ""), "tool_use"),
    "stray_piece": _ended([delta(0, toolUse={"input": "{}"})], "tool_use"),
    "interleaved": _ended([delta(0, text="A"), delta(1, text="B"), delta(0, text="C")]),
    "late_piece": framed([START, *text(0, "A"), message_stop(), *text(1, "B"), metadata()]),
    "json_in_place_of_stream": as_json(body_of(TAPES["claude_plain"])),
    "empty": b"",
}

_BROKEN_BODIES: dict[str, bytes] = {
    "malformed_tool_use": as_json(
        body_of(Tape([], [made("tooluse_1", "weather", {})], "malformed_tool_use"))
    ),
    "unknown_stop_reason": as_json(body_of(Tape([], [{"text": "Paris."}], "vibes"))),
    "nameless_tool": as_json(body_of(Tape([], [made("tooluse_1", "", {})], "tool_use"))),
    "no_content": as_json({"Output": {"__type": "UnknownOperationException"}, "Version": "1.0"}),
    "cut": as_json(body_of(TAPES["claude_tools"]))[:-40],
    "damaged_secret": as_json(body_of(Tape([], [{"reasoningContent": {"redactedContent": "?"}}]))),
}


def files() -> Iterator[tuple[Path, bytes]]:
    """Every tape of Bedrock's, and what is on it."""
    for name, tape in TAPES.items():
        yield _HERE / f"bedrock_{name}.eventstream", framed(stream_of(tape))
        yield _HERE / f"bedrock_{name}.json", as_json(body_of(tape))
    for name, stream in _BROKEN_STREAMS.items():
        yield _HERE / "broken" / f"bedrock_{name}.eventstream", stream
    for name, body in _BROKEN_BODIES.items():
        yield _HERE / "broken" / f"bedrock_{name}.json", body


if __name__ == "__main__":
    for path, content in files():
        path.write_bytes(content)
