import base64

import pytest
from anthropic_requests import (
    HAIKU_3,
    HELLO,
    assistant,
    called,
    encode,
    refusal,
    result,
    system,
    text,
    turns,
    user,
)
from msgspec.structs import replace

from quantized.core.parts import (
    Audio,
    AudioReference,
    CacheMark,
    File,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from quantized.core.request import Message
from quantized.providers.turns import OPENING

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(16)).decode()
WEBP = base64.b64encode(b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(8)).decode()
GIF = base64.b64encode(b"GIF89a" + bytes(16)).decode()
PDF = base64.b64encode(b"%PDF-1.7").decode()


def refused(*messages: Message, model: str = "claude-sonnet-4-5") -> str | None:
    return refusal(replace(HELLO, messages=messages), model).param


def data(kind: str, content: str) -> str:
    return f"data:{kind};base64,{content}"


def test_instructions_from_anywhere_reach_the_top_in_order():
    developer = Message("developer", (Text("D", CacheMark("1h")), Text(" "), Text("E")))
    body = encode(
        replace(HELLO, messages=(system("S", "T"), user("U"), developer, assistant("A"), user("V")))
    )
    assert body["system"] == [
        text("S"),
        text("T"),
        {**text("D"), "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        text("E"),
    ]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_turns_of_one_role_are_one_turn():
    assert turns(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c"), text("d")]},
        {"role": "user", "content": [text("e")]},
    ]


def test_a_conversation_that_the_assistant_begins():
    opening = {"role": "user", "content": [text(OPENING)]}
    assert turns(assistant("Welcome"), user("Hi"))[0] == opening
    assert turns(user(" "), assistant("Welcome"), user("Hi"))[0] == opening
    assert turns(system("Write a poem")) == [opening]


def test_results_of_parallel_calls_are_one_turn_and_come_first():
    found = turns(
        user("q"), called("c1", "c2"), user("and?"), result("c2", "two"), result("c1", "one"), user("so?")
    )
    assert found[1]["content"] == [
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2", "name": "f", "input": {"a": 1}},
    ]
    assert found[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        text("and?"),
        text("so?"),
    ]


@pytest.mark.parametrize("written", ["", " ", "{}"])
def test_empty_arguments_are_an_empty_object(written):
    (block,) = turns(user("q"), called("c", arguments=written), result("c", "r"))[1]["content"]
    assert block["input"] == {}


@pytest.mark.parametrize("written", ["{", "[]", "1", '{"a":', '"{}"', "null"])
def test_arguments_that_are_no_object_are_refused(written):
    messages = (user("q"), called("c", arguments=written), result("c", "r"))
    assert refused(*messages) == "messages[1].tool_calls[0].function.arguments"


def test_results():
    found = turns(
        user("q"),
        called("a", "b", "c"),
        result("a"),
        result("b", " "),
        result("c", "see", Image(data("image/png", PNG), cache=CacheMark("5m"))),
    )
    assert found[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a"},
        {"type": "tool_result", "tool_use_id": "b"},
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [
                text("see"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
            "cache_control": {"type": "ephemeral", "ttl": "5m"},
        },
    ]
    early = result("c", Text("see", CacheMark()), "more")
    assert refused(user("q"), called("c"), early) == "messages[2].content[0].cache_control"


def test_each_call_needs_its_result_right_after_it():
    call = "messages[1].tool_calls[1]"
    assert refused(user("q"), called("a", "b"), result("a", "r")) == call
    assert refused(user("q"), called("a", "b"), result("a", "r"), assistant("x"), result("b", "r")) == call
    assert refused(user("q"), called("a", "b")) == "messages[1].tool_calls[0]"
    assert refused(user("q"), result("a", "r")) == "messages[1].tool_call_id"
    assert refused(user("q"), called("a"), result("a", "r"), result("a", "s")) == "messages[3].tool_call_id"
    twice = assistant(ToolCall("a", "f", ""), ToolCall("a", "f", ""))
    assert refused(user("q"), twice, result("a", "r")) == "messages[1].tool_calls[1].id"


def test_ids_that_the_api_would_not_take():
    found = turns(
        user("q"),
        called("functions.f:0"),
        result("functions.f:0", "r"),
        called("call_1"),
        result("call_1", "r"),
        called("call_1"),
        result("call_1", "s"),
    )
    calls = [turn["content"][0]["id"] for turn in found[1::2]]
    assert calls == [turn["content"][0]["tool_use_id"] for turn in found[2::2]]
    assert calls[1] == "call_1"
    assert len(set(calls)) == 3
    # The same conversation, continued, has the same ids: caches live of it.
    longer = turns(user("q"), called("functions.f:0"), result("functions.f:0", "r"), user("more"))
    assert longer[1]["content"][0]["id"] == calls[0]


def test_empty_texts():
    assert turns(user("", "a", " \n")) == [{"role": "user", "content": [text("a")]}]
    assert turns(user("a"), user("")) == [{"role": "user", "content": [text("a")]}]
    # An answer that said nothing leaves nothing, and what was asked after it follows what was asked before.
    assert turns(user("a"), assistant(""), user("b")) == [{"role": "user", "content": [text("a"), text("b")]}]
    assert turns(user("a"), assistant(" ")) == [{"role": "user", "content": [text("a")]}]
    assert turns(user("q"), assistant("", ToolCall("c", "f", "")), result("c", "r"))[1]["content"] == [
        {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    ]
    assert "system" not in encode(replace(HELLO, messages=(system(""), user("a"))))


def test_messages_that_say_nothing_are_refused():
    assert refused(user("")) == "messages[0].content"
    assert refused(user("a"), assistant("b"), user(" ")) == "messages[2].content"
    assert refused(user("a"), assistant("b"), user(" "), assistant("c"), user("d")) == "messages[2].content"
    assert refused() == "messages"
    assert refused(system(" ")) == "messages"
    assert refused(assistant(" ")) == "messages"


def test_names_are_refused():
    assert refused(replace(user("a"), name="ann")) == "messages[0].name"
    assert refused(replace(system("a"), name="ann"), user("a")) == "messages[0].name"
    # The name of a tool is known from its call.
    assert turns(user("q"), called("c"), replace(result("c", "r"), name="f"))


def test_a_refusal_was_said():
    assert turns(user("a"), assistant(Refusal("No.")), user("b"))[1]["content"] == [text("No.")]


def test_thoughts_that_nobody_signed_stay_here():
    assert turns(user("a"), assistant(Reasoning("hm"), "b"), user("c"))[1]["content"] == [text("b")]


@pytest.mark.parametrize(
    ("declared", "content", "kind"),
    [
        ("image/png", PNG, "image/png"),
        ("image/jpg", JPEG, "image/jpeg"),
        ("image/png", JPEG, "image/jpeg"),
        ("image/jpeg", WEBP, "image/webp"),
        ("IMAGE/GIF", GIF, "image/gif"),
        ("application/octet-stream", PNG, "image/png"),
    ],
)
def test_images_by_data_url(declared, content, kind):
    (block,) = turns(user(Image(data(declared, content))))[0]["content"]
    assert block["source"] == {"type": "base64", "media_type": kind, "data": content}


def test_images_by_url():
    (block,) = turns(user(Image("https://example.com/a.png", "high", CacheMark())))[0]["content"]
    assert block == {
        "type": "image",
        "source": {"type": "url", "url": "https://example.com/a.png"},
        "cache_control": {"type": "ephemeral"},
    }


def test_images_that_are_refused():
    field = "messages[0].content[0].image_url"
    assert refused(user(Image("http://example.com/a.png"))) == f"{field}.url"
    assert refused(user(Image(data("image/bmp", "Qk0=")))) == f"{field}.url"
    assert refused(user(Image("https://example.com/a.png", "low"))) == f"{field}.detail"
    assert refused(user("a"), assistant(Image("https://example.com/a.png")), user("b")) == "messages[1]"


def test_documents():
    plain = base64.b64encode("Grüße".encode()).decode()
    found = turns(
        user(
            File("a.pdf", data("application/pdf", PDF), cache=CacheMark()),
            File("a.txt", data("text/plain;charset=utf-8", plain)),
            File(None, data("application/json", plain)),
            File(None, "https://example.com/a.pdf"),
            File("a.png", data("image/png", PNG)),
        )
    )[0]["content"]
    assert found == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
            "cache_control": {"type": "ephemeral"},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            "title": "a.txt",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    ]


@pytest.mark.parametrize(
    ("file", "field"),
    [
        (File(file_id="file-1"), "file_id"),
        (File(data="http://example.com/a.pdf"), "file_data"),
        (File(data=data("application/zip", "UEs=")), "file_data"),
        (File(data=data("text/plain", "/w==")), "file_data"),
        (File(data=data("text/plain", "*")), "file_data"),
        (File(data=data("text/plain", "IA==")), "file_data"),
        (File(data=data("image/tiff", "SUk=")), "file_data"),
    ],
)
def test_files_that_are_refused(file, field):
    assert refused(user("a", file)) == f"messages[0].content[1].file.{field}"


def test_what_old_models_cannot_read():
    assert refused(user(File(None, data("application/pdf", PDF))), model=HAIKU_3) == "messages[0].content[0]"
    shown = result("c", File(None, data("application/pdf", PDF)))
    assert refused(user("q"), called("c"), shown, model=HAIKU_3) == "messages[2].content[0]"


def test_sound_is_refused():
    assert refused(user(Audio("UklGRg==", "wav"))) == "messages[0].content[0].input_audio"
    assert refused(user("a"), assistant(AudioReference("x")), user("b")) == "messages[1]"


def test_instructions_are_text_alone():
    shown = Message("system", (Image("https://example.com/a.png"),))
    assert refused(shown, user("a")) == "messages[0].content[0]"
