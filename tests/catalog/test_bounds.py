"""The bound is never below what tokenizers could count; the estimate never above the bound."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from quantized.catalog.bounds import LARGEST_WINDOW, estimate_input, estimate_output, input_bound
from quantized.catalog.model import Model
from quantized.core.parts import (
    AnyPart,
    Audio,
    AudioReference,
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
    Tool,
    ToolChoice,
    WebSearch,
)

_BOUNDLESS = Model(id="a/m", provider="p", native_id="m", name="M", author="a", rates=None)
_WINDOW = replace(_BOUNDLESS, context_window=128_000)


def _ask(*parts: AnyPart, **fields: object) -> GenerationRequest:
    return GenerationRequest(model="a/m", messages=(Message("user", parts),), **fields)


def _grows_by(part: AnyPart, tokens: int) -> bool:
    return input_bound(_ask(part), _BOUNDLESS) - input_bound(_ask(), _BOUNDLESS) >= tokens


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_urls = st.builds(
    lambda raw: "data:image/png;base64," + base64.b64encode(raw).decode(), st.binary(max_size=99)
)
_base64 = st.builds(lambda raw: base64.b64encode(raw).decode(), st.binary(max_size=999))
_seals = st.builds(Seal, st.none() | st.just("p"), st.just("k"), st.binary(max_size=99))
_simple = st.one_of(
    st.builds(Text, _texts),
    st.builds(Image, _urls, st.none() | st.just("low")),
    st.builds(Audio, _base64, st.just("mp3")),
    st.builds(File, filename=st.just("a.pdf"), data=st.none() | _urls, file_id=st.none()),
)
_parts = st.one_of(
    _simple,
    st.builds(Reasoning, st.none() | _texts, st.tuples(_seals)),
    st.builds(Refusal, _texts),
    st.builds(AudioReference, st.just("audio-1")),
    st.builds(ToolCall, _texts, _texts, _texts),
    st.builds(ToolResult, _texts, st.tuples(_simple)),
)
_schemas = st.none() | st.just(Raw(b'{"type":"object","properties":{"city":{"type":"string"}}}'))
_requests = st.builds(
    GenerationRequest,
    model=st.just("a/m"),
    messages=st.lists(
        st.builds(Message, st.just("user"), st.lists(_parts, max_size=4).map(tuple), st.none() | _texts),
        max_size=4,
    ).map(tuple),
    tools=st.none() | st.lists(st.builds(Tool, _texts, st.none() | _texts, _schemas), max_size=3).map(tuple),
    output_format=st.none()
    | st.builds(
        OutputFormat, st.just("json_schema"), st.builds(JsonSchema, _texts, _schemas, st.none() | _texts)
    ),
)


@given(_requests)
def test_the_estimate_is_within_the_bound(request: GenerationRequest) -> None:
    assert 0 <= estimate_input(request) <= input_bound(request, _BOUNDLESS) <= LARGEST_WINDOW


@given(_requests)
def test_no_bound_exceeds_the_context_window(request: GenerationRequest) -> None:
    assert input_bound(request, _WINDOW) == min(input_bound(request, _BOUNDLESS), 128_000)


@given(_texts)
def test_a_text_is_bounded_by_its_bytes_wherever_it_stands(text: str) -> None:
    size = len(text.encode())
    assert _grows_by(Text(text), size)
    assert _grows_by(Refusal(text), size)
    assert _grows_by(Reasoning(text), size)
    assert _grows_by(ToolCall("c", text, ""), size)
    assert _grows_by(ToolCall("c", "f", text), 2 * size)
    assert _grows_by(ToolResult("c", (Text(text),)), size)
    plain = input_bound(_ask(), _BOUNDLESS)
    named = GenerationRequest(model="a/m", messages=(Message("user", (), name=text),))
    assert input_bound(named, _BOUNDLESS) >= plain + size
    tool = _ask(tools=(Tool(text, text),))
    assert input_bound(tool, _BOUNDLESS) >= plain + 2 * size
    forced = _ask(tool_choice=ToolChoice("function", text))
    assert input_bound(forced, _BOUNDLESS) >= plain + size


@given(st.binary(max_size=300))
def test_sealed_blocks_and_schemas_count_by_their_bytes(payload: bytes) -> None:
    assert _grows_by(Reasoning(None, (Seal("p", "k", payload),)), len(payload))
    plain = input_bound(_ask(), _BOUNDLESS)
    raw = Raw(payload)
    assert input_bound(_ask(tools=(Tool("f", None, raw),)), _BOUNDLESS) >= plain + 2 * len(payload)
    form = OutputFormat("json_schema", JsonSchema("n", raw))
    assert input_bound(_ask(output_format=form), _BOUNDLESS) >= plain + 2 * len(payload)


def test_every_message_and_tool_has_an_overhead() -> None:
    many = GenerationRequest(model="a/m", messages=(Message("user", ()),) * 1_000)
    assert input_bound(many, _BOUNDLESS) >= 1_000 * 8
    tools = _ask(tools=(Tool("f"),) * 100)
    # What Anthropic adds for tool use is documented to reach 675 tokens.
    assert input_bound(tools, _BOUNDLESS) - input_bound(_ask(), _BOUNDLESS) >= 675 + 100 * 16


@pytest.mark.parametrize(
    ("provider", "tokens"),
    [
        ("gpt-4o-mini, 8 tiles", 2_833 + 8 * 5_667),
        ("gpt-4o, 8 tiles", 85 + 8 * 170),
        ("gpt-4.1-nano, 1,536 patches at 2.46", 3_779),
        ("a 12-megapixel photo at 1.2 tokens a patch", 14_364),
        ("Qwen-VL at its largest", 16_384),
        ("Claude at its largest", 4_784),
    ],
)
def test_an_image_covers_the_published_formulae(provider: str, tokens: int) -> None:
    assert _grows_by(Image("https://example.com/a.png"), tokens), provider
    assert _grows_by(Image("https://example.com/a.png", detail="low"), tokens), provider


@pytest.mark.parametrize(
    ("encoding", "bytes_per_second"),
    [("Opus at 6 kbit/s", 750), ("MP3 at 8 kbit/s", 1_000), ("telephone PCM", 8_000)],
)
def test_audio_covers_32_tokens_a_second(encoding: str, bytes_per_second: int) -> None:
    data = base64.b64encode(bytes(60 * bytes_per_second)).decode()
    assert _grows_by(Audio(data, "mp3"), 60 * 32), encoding


@pytest.mark.parametrize(
    "request_",
    [
        _ask(File(data="data:application/pdf;base64,AAAA")),
        _ask(File(file_id="file-1")),
        _ask(AudioReference("audio-1")),
        _ask(ToolResult("c", (File(file_id="file-1"),))),
        _ask(Text("news?"), web_search=WebSearch()),
    ],
    ids=["file data", "file id", "spoken audio", "file in a tool result", "web search"],
)
def test_what_has_no_known_size_takes_the_whole_window(request_: GenerationRequest) -> None:
    assert input_bound(request_, _WINDOW) == 128_000
    assert input_bound(request_, _BOUNDLESS) == LARGEST_WINDOW


def test_a_model_that_reads_again_reads_the_prompt_and_then_a_window_for_each_search() -> None:
    plain = input_bound(_ask(Text("news?")), _WINDOW)
    searching = _ask(Text("news?"), web_search=WebSearch())
    assert [input_bound(searching, _WINDOW, n) for n in (1, 5)] == [plain + 128_000, plain + 5 * 128_000]
    assert input_bound(_ask(Text("news?")), _WINDOW, 5) == plain
    with_file = _ask(File(file_id="file-1"), web_search=WebSearch())
    assert input_bound(with_file, _WINDOW, 1) == 2 * 128_000


def test_english_prose_is_estimated_at_four_bytes_a_token() -> None:
    prose = "The gateway stands between an institution and its providers. " * 50
    assert estimate_input(_ask(Text(prose))) == pytest.approx(len(prose) / 4, rel=0.05)


@given(st.integers(0, 10**9))
def test_output_is_estimated_within_its_bytes(produced: int) -> None:
    estimate = estimate_output(produced)
    assert estimate <= produced
    assert estimate * 4 >= produced


def test_a_tools_result_is_counted_as_the_json_that_it_may_be_sent_as() -> None:
    for text in ("\x01" * 10_000, "\ud800" * 10_000, "plain"):
        asked = _ask(ToolResult("c", (Text(text),)))
        assert input_bound(asked, _BOUNDLESS) >= len(json.dumps({"output": text}))
