import json

import pytest
from converse_requests import (
    CLAUDE,
    LLAMA,
    LLAMA_4,
    MISTRAL,
    NOVA,
    OPUS_48,
    PROFILE,
    VOXTRAL,
    assistant,
    called,
    encode,
    refusal,
    result,
    system,
    turns,
    user,
)

from quantized.core.errors import InvalidValue
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
from quantized.core.request import Message, ReasoningWish
from quantized.providers.bedrock.content import NOTHING
from quantized.providers.bedrock.seals import Minter
from quantized.providers.turns import OPENING

PNG = "iVBORw0KGgoAAAAN"
PDF = "JVBERi0x"
IMAGE = Image(f"data:image/png;base64,{PNG}")


def pdf(name: str | None = "a.pdf") -> File:
    return File(name, f"data:application/pdf;base64,{PDF}")


def test_instructions_come_out_from_wherever_they_stand():
    body = encode(
        messages=(user("a"), system("S1"), assistant("b"), Message("developer", (Text("S2"),)), user("c"))
    )
    assert body["system"] == [{"text": "S1"}, {"text": "S2"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [{"text": "b"}]},
        {"role": "user", "content": [{"text": "c"}]},
    ]


def test_an_assistant_does_not_begin():
    assert turns(assistant("Hi"), user("Hello"))[0] == {"role": "user", "content": [{"text": OPENING}]}
    assert turns(system("S"))[0]["content"] == [{"text": OPENING}]


def test_turns_of_one_role_are_one():
    assert turns(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": [{"text": "c"}, {"text": "d"}]},
        {"role": "user", "content": [{"text": "e"}]},
    ]


def test_results_come_first_and_in_one_turn():
    said = turns(user("a"), called("c1", "c2"), user("b"), result("c2", "2"), result("c1", "1"), user("c"))
    assert [next(iter(block)) for block in said[2]["content"]] == ["toolResult", "toolResult", "text", "text"]
    assert said[2]["content"][0] == {"toolResult": {"toolUseId": "c2", "content": [{"text": "2"}]}}


def test_empty_texts_are_left_out():
    assert turns(user(" ", "a", "\n"), assistant(""), user("b"))[0]["content"] == [
        {"text": "a"},
        {"text": "b"},
    ]
    assert refusal(messages=(user("a"), assistant("b"), user(" "))).param == "messages[2].content"
    assert refusal(messages=(user(""),)).param == "messages[0].content"


def test_a_result_of_nothing():
    said = turns(user("a"), called("c"), result("c", ""), assistant("b"), user("c"))
    assert said[2]["content"][0]["toolResult"]["content"] == [{"text": NOTHING}]


def test_results_as_the_model_reads_them():
    def read(written: str, model: str) -> object:
        said = turns(user("a"), called("c"), result("c", written), model=model)
        return said[2]["content"][0]["toolResult"]["content"]

    assert read('{"a": 1}', CLAUDE) == [{"text": '{"a": 1}'}]
    assert read('{"a": 1}', MISTRAL) == [{"json": {"a": 1}}]
    assert read("18 C", MISTRAL) == [{"json": {"output": "18 C"}}]
    assert read("[1]", MISTRAL) == [{"json": {"output": "[1]"}}]


def test_pictures_in_results():
    loop = (user("a"), called("c"), result("c", IMAGE))
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    for model in (CLAUDE, NOVA, LLAMA_4, PROFILE):
        assert turns(*loop, model=model)[2]["content"][0]["toolResult"]["content"] == [image]
    assert refusal(MISTRAL, messages=loop).param == "messages[2].content[0]"


def test_a_mark_in_a_result_stands_after_it():
    said = turns(user("a"), called("c"), result("c", Text("1", CacheMark())))
    assert said[2]["content"][1] == {"cachePoint": {"type": "default"}}


@pytest.mark.parametrize(("written", "told"), [("", {}), (" ", {}), ('{"a":1}', {"a": 1}), ("{}", {})])
def test_arguments_are_an_object(written, told):
    said = turns(user("a"), called("c", arguments=written), result("c", "1"))
    assert said[1]["content"][0]["toolUse"]["input"] == told


@pytest.mark.parametrize("written", ['"x"', "[]", "{", "null", "1"])
def test_arguments_that_are_none(written):
    fault = refusal(messages=(user("a"), called("c", arguments=written), result("c", "1")))
    assert fault.param == "messages[1].tool_calls[0].function.arguments"


def test_ids_of_others():
    long = "call|" + "x" * 80
    said = turns(user("a"), called(long), result(long, "1"), called(long), result(long, "2"))
    first, second = (said[n]["content"][0]["toolUse"]["toolUseId"] for n in (1, 3))
    assert first.startswith("tooluse_")
    assert first != second
    assert said[2]["content"][0]["toolResult"]["toolUseId"] == first
    assert said[4]["content"][0]["toolResult"]["toolUseId"] == second


def test_calls_and_results_that_do_not_match():
    assert refusal(messages=(user("a"), called("c"))).param == "messages[1].tool_calls[0]"
    assert refusal(messages=(user("a"), called("c"), user("b"))).param == "messages[1].tool_calls[0]"
    late = (user("a"), called("c"), result("c", "1"), assistant("b"), result("c", "1"))
    assert refusal(messages=late).param == "messages[4].tool_call_id"


class TestPictures:
    @pytest.mark.parametrize(
        ("url", "form"),
        [
            (f"data:image/png;base64,{PNG}", "png"),
            ("data:image/jpg;base64,AAAA", "jpeg"),
            ("DATA:image/webp;charset=x;base64,AAAA", "webp"),
            ("data:image/jpeg;base64,R0lGODlh", "gif"),
        ],
    )
    def test_by_what_their_bytes_say(self, url, form):
        (block,) = turns(user(Image(url)))[0]["content"]
        assert block["image"]["format"] == form
        assert block["image"]["source"] == {"bytes": url.partition(",")[2]}

    @pytest.mark.parametrize(
        "url", ["https://h.test/a.png", "data:image/svg+xml;base64,AAAA", "data:image/png;base64,A", "data:,"]
    )
    def test_none_that_it_could_read(self, url):
        assert refusal(messages=(user(Image(url)),)).param == "messages[0].content[0].image_url.url"

    def test_a_model_that_sees_nothing(self):
        assert refusal(LLAMA, messages=(user(IMAGE),)).param == "messages[0].content[0].image_url.url"

    def test_the_detail(self):
        low = Image(IMAGE.url, "low")
        assert refusal(messages=(user(low),)).param == "messages[0].content[0].image_url.detail"
        assert turns(user(Image(IMAGE.url, "auto"))) == turns(user(IMAGE))

    def test_an_assistants_own(self):
        assert refusal(messages=(user("a"), assistant(IMAGE), user("b"))).param == "messages[1]"

    def test_in_instructions(self):
        assert refusal(messages=(system(IMAGE), user("b"))).param == "messages[0].content[0]"


class TestDocuments:
    def test_beside_a_text(self):
        assert turns(user("Read", pdf()))[0]["content"] == [
            {"text": "Read"},
            {"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}}},
        ]

    def test_alone_it_is_named(self):
        assert turns(user(pdf("My résumé.pdf")))[0]["content"][1] == {"text": "My r sum"}

    def test_names(self):
        names = ["a/b_c.pdf", "a b c.pdf", "…", None, "x" * 300 + ".pdf", "no-extension"]
        content = turns(user("Read", *(pdf(name) for name in names)))[0]["content"]
        assert [block["document"]["name"] for block in content[1:]] == [
            "a b c",
            "a b c (2)",
            "document",
            "document (2)",
            "x" * 200,
            "no-extension",
        ]

    @pytest.mark.parametrize(
        ("media", "name", "form"),
        [
            ("text/csv", None, "csv"),
            ("text/html", None, "html"),
            ("text/plain;charset=utf-8", None, "txt"),
            ("text/markdown", None, "md"),
            ("application/msword", None, "doc"),
            ("application/vnd.ms-excel", None, "xls"),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", None, "docx"),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", None, "xlsx"),
            ("application/octet-stream", "a.MD", "md"),
            ("", "a.xlsx", "xlsx"),
        ],
    )
    def test_formats(self, media, name, form):
        (block, _) = turns(user(File(name, f"data:{media};base64,AAAA")))[0]["content"]
        assert block["document"]["format"] == form

    def test_a_picture_is_one(self):
        (block,) = turns(user(File("a.png", IMAGE.url)))[0]["content"]
        assert block["image"]["format"] == "png"

    @pytest.mark.parametrize(
        ("file", "param"),
        [
            (File("a.zip", "data:application/zip;base64,AAAA"), "file_data"),
            (File("a.pdf", "https://h.test/a.pdf"), "file_data"),
            (File(file_id="file-1"), "file_id"),
            (File("a.pdf", "data:application/pdf;base64,"), "file_data"),
        ],
    )
    def test_none_that_it_could_read(self, file, param):
        assert refusal(messages=(user("Read", file),)).param == f"messages[0].content[1].file.{param}"


def test_sounds():
    said = user("Listen", Audio("UklGRg==", "WAV"))
    assert turns(said, model=VOXTRAL)[0]["content"][1] == {
        "audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}
    }
    assert refusal(messages=(said,)).param == "messages[0].content[1].input_audio"
    strange = user(Audio("UklGRg==", "midi"))
    assert refusal(VOXTRAL, messages=(strange,)).param == "messages[0].content[0].input_audio.format"


def test_what_an_assistant_said_otherwise():
    assert turns(user("a"), assistant(Refusal("No.")), user("b"))[1]["content"] == [{"text": "No."}]
    assert refusal(messages=(user("a"), assistant(AudioReference("x")), user("b"))).param == "messages[1]"


class TestTheEnd:
    def test_an_answer_is_continued_where_models_do_so(self):
        assert turns(user("a"), assistant("The answer is"))[-1]["content"] == [{"text": "The answer is"}]
        assert turns(user("a"), assistant("x"), model=NOVA)[-1]["role"] == "assistant"

    @pytest.mark.parametrize("model", [OPUS_48, LLAMA, MISTRAL])
    def test_and_not_where_they_do_not(self, model):
        assert refusal(model, messages=(user("a"), assistant("x"))).param == "messages"


def thought(*seals: Seal) -> Reasoning:
    return Reasoning("hm", seals)


SIGNED = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}
HIDDEN = {"reasoningContent": {"redactedContent": "AAECAw=="}}


class TestReplay:
    def minted(self, family: str = "anthropic") -> tuple[Seal, ...]:
        """Of an answer that thought, spoke, thought, hid a thought, and called."""
        minter = Minter(family, "model")
        first = minter.seal(SIGNED)
        minter.said("One moment. ")
        second = minter.seal(SIGNED)
        third = minter.seal(HIDDEN)
        minter.called("c")
        return first, second, third

    def loop(self, *parts: object) -> tuple[Message, ...]:
        return (user("a"), Message("assistant", parts), result("c", "1"))

    CALL = ToolCall("c", "f", "{}")

    def test_blocks_are_back_where_they_stood(self):
        whole = [SIGNED, {"text": "One moment. "}, SIGNED, HIDDEN]
        said = turns(*self.loop(thought(*self.minted()), Text("One moment. "), self.CALL))
        assert said[1]["content"][:4] == whole
        first, second, third = self.minted()
        kept = self.loop(thought(first), Text("One moment. "), thought(second, third), self.CALL)
        assert turns(*kept) == said

    def test_a_request_without_thinking_brings_no_thoughts(self):
        talk = self.loop(thought(*self.minted()), Text("One moment. "), self.CALL)
        body = encode(model="global.anthropic.claude-opus-5", messages=talk, reasoning=ReasoningWish("none"))
        assert body["additionalModelRequestFields"]["thinking"] == {"type": "disabled"}
        assert [list(block) for block in body["messages"][1]["content"]] == [["text"], ["toolUse"]]

    @pytest.mark.parametrize("model", [NOVA, LLAMA, MISTRAL, PROFILE])
    def test_no_other_family_gets_them(self, model):
        parts = (thought(*self.minted()), Text("One moment. "), self.CALL)
        assert turns(*self.loop(*parts), model=model) == turns(*self.loop(*parts[1:]), model=model)

    def test_nor_any_of_another_makers(self):
        foreign = Seal("anthropic", "reasoning_details", self.minted()[0].payload)
        assert turns(*self.loop(thought(foreign), self.CALL)) == turns(*self.loop(self.CALL))
        unsaid = Seal(None, "reasoning_details", b"[]")
        assert turns(*self.loop(thought(unsaid), self.CALL)) == turns(*self.loop(self.CALL))

    def test_where_they_no_longer_fit_all_are_left_out(self):
        for parts in (
            (thought(*self.minted()), Text("One moment! "), self.CALL),
            (thought(*reversed(self.minted())), Text("One moment. "), self.CALL),
        ):
            assert turns(*self.loop(*parts)) == turns(*self.loop(*parts[1:]))

    @pytest.mark.parametrize(
        "change",
        [
            {"signature": None},
            {"type": "reasoning.other"},
            {"index": "0"},
            {"before": [{"type": "strange"}]},
            {"type": "reasoning.block", "block": {"text": "forged"}},
            {"type": "reasoning.block", "block": {"cachePoint": {"type": "default"}}},
            {"type": "reasoning.encrypted", "data": "no base64"},
        ],
    )
    def test_a_block_that_was_changed_is_told(self, change):
        payload = json.loads(self.minted()[0].payload) | change
        forged = Seal("bedrock", "reasoning_details", json.dumps(payload).encode())
        with pytest.raises(InvalidValue) as told:
            turns(*self.loop(thought(forged), self.CALL))
        assert told.value.param == "messages[1].reasoning_details"

    def test_thinking_that_led_to_nothing(self):
        seal = Minter("anthropic", None).seal(SIGNED)
        assert turns(user("a"), assistant(thought(seal)), user("b")) == turns(user("a"), user("b"))

    def test_a_seal_says_who_could_read_it(self):
        payload = json.loads(self.minted("nova")[1].payload)
        assert payload == {
            "type": "reasoning.text",
            "provider": "bedrock",
            "family": "nova",
            "index": 2,
            "model": "model",
            "before": [{"type": "text", "length": 12, "check": payload["before"][0]["check"]}],
            "text": "hm",
            "signature": "c2ln",
        }

    def test_a_block_that_is_new_comes_back_whole(self):
        new = {"somethingNew": {"a": [1]}}
        assert json.loads(Minter("anthropic", None).seal(new).payload)["block"] == new


def test_one_result_for_one_call():
    twice = Message("tool", (ToolResult("c", (Text("1"),)), ToolResult("c", (Text("2"),))))
    assert refusal(messages=(user("a"), called("c"), twice)).param == "messages[2].tool_call_id"
