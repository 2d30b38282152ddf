"""Requests of every kind, in whatever order things come, for properties of encoders."""

from itertools import chain
from typing import Any

from anthropic_requests import HELLO
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from quantized.core.parts import (
    Audio,
    AudioReference,
    CacheMark,
    File,
    Image,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from quantized.core.request import (
    GenerationRequest,
    JsonSchema,
    Message,
    OutputFormat,
    ReasoningWish,
    Sampling,
    Tool,
    ToolChoice,
    WebSearch,
)
from quantized.providers.caching import AutomaticCaching

PNG = "data:image/png;base64,iVBORw0KGgoAAAAN"
texts = st.sampled_from(["", " ", "a", "words and words", "é\U0001f642", "x" * 3_000])
caches = st.sampled_from([None] * 12 + [CacheMark(), CacheMark("5m"), CacheMark("1h")])
written = st.builds(Text, texts, caches)
images = st.builds(
    Image, st.sampled_from([PNG, "https://h.test/a.png"]), st.sampled_from([None, "high"]), caches
)
files = st.builds(
    File,
    st.sampled_from([None, "a"]),
    st.sampled_from(["data:application/pdf;base64,JVBERi0x", "data:text/plain;base64,SGk=", PNG]),
    st.none(),
    caches,
)
content = st.one_of(written, written, written, images, files)
ids = st.sampled_from(["call_1", "call_2", "functions.f:0", "call 3"])
foreign = Seal("openrouter", "reasoning_details", b'[{"type":"reasoning.text","text":"x"}]')


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """An assistant that calls, and the results, in any order, now and then with something in between."""
    called = draw(st.lists(ids, min_size=1, max_size=3, unique=True))
    names = st.sampled_from(["f", "g"])
    arguments = st.sampled_from(["", "{}", '{"a":1}', '{"b":[null]}'])
    calls = [ToolCall(call, draw(names), draw(arguments)) for call in called]
    said = draw(st.lists(written, max_size=1))
    results = [
        Message("tool", (ToolResult(call, tuple(draw(st.lists(content, max_size=2)))),))
        for call in draw(st.permutations(called))
    ]
    if draw(st.booleans()):
        results.insert(draw(st.integers(0, len(results))), Message("user", (draw(written),)))
    return [Message("assistant", (*said, *calls)), *results]


assistants = st.one_of(
    st.builds(Text, texts, caches),
    st.just(Reasoning("hm", (foreign,))),
    st.just(Reasoning("hm")),
    st.builds(Refusal, texts),
)
single = st.one_of(
    st.builds(lambda role, part: [Message(role, (part,))], st.sampled_from(["system", "developer"]), written),
    st.builds(lambda parts: [Message("user", tuple(parts))], st.lists(content, min_size=1, max_size=3)),
    st.builds(lambda parts: [Message("assistant", tuple(parts))], st.lists(assistants, max_size=3)),
)
rare = st.sampled_from(
    [
        [Message("assistant", (ToolCall("lost", "f", "{}"),))],
        [Message("tool", (ToolResult("nobody", ()),))],
        [Message("assistant", (AudioReference("a"),))],
        [Message("user", (Audio("UklGRg==", "wav"),))],
        [Message("user", (Text("hi"),), name="ann")],
        [Message("assistant", (ToolCall("call_9", "f", "{"),))],
        [Message("assistant", (ToolCall("call_9", "g.h", "{}"),))],
        [Message("user", (Image("http://h.test/a"),))],
        [Message("user", (File(file_id="f"),))],
    ]
)
conversations = st.lists(st.one_of(single, single, exchanges()), max_size=6)
any_conversations = st.lists(st.one_of(single, single, exchanges(), rare), max_size=6)


def maybe(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from(values)


SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"integer"}}}')
CONVERSATIONS = {"messages": conversations.map(chain.from_iterable).map(tuple)}
ODD_CONVERSATIONS = {"messages": any_conversations.map(chain.from_iterable).map(tuple)}
WISHES = {
    "max_output_tokens": maybe(1, 1_024, 1_025, 4_000, 200_000),
    "sampling": st.builds(
        Sampling,
        temperature=maybe(0.0, 0.5, 1.0, 1.5),
        top_p=maybe(0.97, 0.5, 1.0),
        top_k=maybe(5),
        stop=maybe(("END",), (" ",), ()),
    ),
    "tools": maybe((Tool("f"),), (Tool("f", "d", SCHEMA, True, CacheMark()), Tool("g", strict=False)), ()),
    "tool_choice": maybe(
        ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("function", "f")
    ),
    "parallel_tool_calls": maybe(True, False),
    "output_format": maybe(
        OutputFormat("text"),
        OutputFormat("json_object"),
        OutputFormat("json_schema", JsonSchema("s", SCHEMA)),
    ),
    "reasoning": maybe(
        *(ReasoningWish(effort) for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        *(ReasoningWish(max_tokens=tokens) for tokens in (1, 1_024, 5_000)),
        ReasoningWish(enabled=True, exclude=True),
        ReasoningWish(enabled=False),
        ReasoningWish(exclude=True),
    ),
    "web_search": maybe(WebSearch(), WebSearch("high")),
    "user": maybe("ann"),
}
MODES: tuple[AutomaticCaching, ...] = ("off", "continued", "always")


def asking(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[GenerationRequest]:
    """Requests of which each field is as drawn, or left out."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda drawn: replace(HELLO, **drawn))
