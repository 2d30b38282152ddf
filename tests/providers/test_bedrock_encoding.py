import pytest
from converse_oracle import serialized
from converse_requests import (
    CLAUDE,
    CLAUDE_3,
    COHERE,
    DEEPSEEK,
    GPT_OSS,
    HELLO,
    LLAMA,
    MISTRAL,
    MIXTRAL,
    MODELS,
    NOVA,
    NOVA_2,
    OPUS_48,
    PROFILE,
    R1,
    assistant,
    called,
    encode,
    refusal,
    result,
    system,
    user,
)
from msgspec import Raw

from quantized.core.parts import CacheMark, Text, ToolCall
from quantized.core.request import (
    AudioOutput,
    JsonSchema,
    OutputFormat,
    Sampling,
    Tool,
    ToolChoice,
    WebSearch,
)
from quantized.providers.bedrock.endpoint import converse_url
from quantized.providers.bedrock.families import family_of
from quantized.providers.structured import ONLY_JSON

F = Tool("f", "does f", Raw(b'{"type":"object","properties":{"a":{"type":"integer"}}}'))
G = Tool("g")
LOOP = (user("Hi"), called("call_1"), result("call_1", "18"))


def test_the_least_request_says_nothing_that_nobody_asked_for():
    assert encode(cap=7) == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 7},
    }


@pytest.mark.parametrize("model", MODELS)
def test_every_family_answers_a_question(model):
    assert encode(model=model)["messages"] == [{"role": "user", "content": [{"text": "Hello"}]}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_the_path_is_the_one_that_botocore_writes(model, stream):
    path, _ = serialized(encode(model=model), model, stream=stream)
    assert converse_url("https://host", model, stream=stream) == f"https://host{path}"
    assert ":" not in path


def test_a_model_that_nobody_knows_gets_what_converse_itself_can_check():
    assert not family_of(PROFILE).known
    body = encode(
        model=PROFILE, cap=9, sampling=Sampling(temperature=0.5, top_p=0.5, stop=("x",)), tools=(F,)
    )
    assert body["inferenceConfig"] == {
        "maxTokens": 9,
        "temperature": 0.5,
        "topP": 0.5,
        "stopSequences": ["x"],
    }
    assert refusal(PROFILE, sampling=Sampling(top_k=3)).param == "top_k"


class TestCaps:
    def test_the_cap_that_nobody_set_is_no_higher_than_the_models_limit(self):
        assert encode(model=NOVA, cap=131_072)["inferenceConfig"] == {"maxTokens": 10_000}
        assert encode(model=NOVA)["inferenceConfig"] == {"maxTokens": 10_000}
        assert encode(model=NOVA, cap=3)["inferenceConfig"] == {"maxTokens": 3}

    def test_a_callers_own_is_sent_as_it_is(self):
        assert encode(model=NOVA, max_output_tokens=20_000)["inferenceConfig"] == {"maxTokens": 20_000}

    def test_one_beyond_what_the_maker_published_is_refused(self):
        assert refusal(CLAUDE_3, max_output_tokens=4_097).param == "max_tokens"


class TestSampling:
    @pytest.mark.parametrize("model", MODELS)
    def test_a_temperature_above_one_never_leaves(self, model):
        assert refusal(model, sampling=Sampling(temperature=1.1)).param == "temperature"

    def test_in_the_words_of_converse(self):
        body = encode(model=NOVA, sampling=Sampling(temperature=1.0, top_p=0.5, stop=("a", "b")))
        assert body["inferenceConfig"] | {"maxTokens": 0} == {
            "maxTokens": 0,
            "temperature": 1.0,
            "topP": 0.5,
            "stopSequences": ["a", "b"],
        }

    @pytest.mark.parametrize(
        ("model", "told"),
        [
            (CLAUDE, {"top_k": 5}),
            (NOVA, {"inferenceConfig": {"topK": 5}}),
            (MIXTRAL, {"top_k": 5}),
            (COHERE, {"k": 5}),
        ],
    )
    def test_top_k_in_each_familys_own_words(self, model, told):
        assert encode(model=model, sampling=Sampling(top_k=5))["additionalModelRequestFields"] == told

    @pytest.mark.parametrize("model", [LLAMA, R1, GPT_OSS, MISTRAL])
    def test_top_k_where_there_is_none(self, model):
        assert refusal(model, sampling=Sampling(top_k=5)).param == "top_k"

    def test_top_k_out_of_its_range(self):
        assert refusal(NOVA, sampling=Sampling(top_k=129)).param == "top_k"

    def test_newer_models_of_anthropics(self):
        assert refusal(CLAUDE, sampling=Sampling(temperature=0.5, top_p=0.5)).param == "top_p"
        assert refusal(OPUS_48, sampling=Sampling(temperature=0.5)).param == "temperature"
        assert refusal(OPUS_48, sampling=Sampling(top_k=5)).param == "top_k"
        assert "temperature" not in encode(model=OPUS_48, sampling=Sampling(temperature=1))["inferenceConfig"]

    def test_stop_sequences(self):
        assert refusal(GPT_OSS, sampling=Sampling(stop=("a",))).param == "stop"
        assert refusal(CLAUDE, sampling=Sampling(stop=("\n",))).param == "stop"
        assert encode(model=NOVA, sampling=Sampling(stop=("\n",)))["inferenceConfig"]["stopSequences"] == [
            "\n"
        ]


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"sampling": Sampling(frequency_penalty=0.1)}, "frequency_penalty"),
        ({"sampling": Sampling(presence_penalty=-1)}, "presence_penalty"),
        ({"sampling": Sampling(repetition_penalty=1.1)}, "repetition_penalty"),
        ({"sampling": Sampling(seed=0)}, "seed"),
        ({"sampling": Sampling(logit_bias={"1": 1.0})}, "logit_bias"),
        ({"sampling": Sampling(logprobs=True)}, "logprobs"),
        ({"sampling": Sampling(logprobs=True, top_logprobs=2)}, "logprobs"),
        ({"modalities": ("text", "audio")}, "modalities"),
        ({"audio": AudioOutput("alloy", "wav")}, "audio"),
        ({"web_search": WebSearch()}, "web_search_options"),
    ],
)
@pytest.mark.parametrize("model", [CLAUDE, NOVA, PROFILE])
def test_what_there_is_nothing_like(model, changed, param):
    assert refusal(model, **changed).param == param


def test_what_a_model_does_anyway_is_granted_unsaid():
    sampling = Sampling(
        frequency_penalty=0, presence_penalty=0, repetition_penalty=1, logit_bias={}, logprobs=False
    )
    assert encode(sampling=sampling, modalities=("text",)) == encode()


class TestTools:
    def test_as_converse_describes_them(self):
        assert encode(tools=(F, G))["toolConfig"] == {
            "tools": [
                {
                    "toolSpec": {
                        "name": "f",
                        "description": "does f",
                        "inputSchema": {"json": {"type": "object", "properties": {"a": {"type": "integer"}}}},
                    }
                },
                {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
            ]
        }

    @pytest.mark.parametrize(
        ("model", "choice", "told"),
        [
            (CLAUDE, ToolChoice("auto"), None),
            (CLAUDE, ToolChoice("required"), {"any": {}}),
            (CLAUDE, ToolChoice("function", "f"), {"tool": {"name": "f"}}),
            (NOVA, ToolChoice("required"), {"any": {}}),
            (NOVA, ToolChoice("function", "f"), {"tool": {"name": "f"}}),
            (MISTRAL, ToolChoice("required"), {"any": {}}),
            (LLAMA, ToolChoice("auto"), None),
        ],
    )
    def test_choices(self, model, choice, told):
        assert encode(model=model, tools=(F, G), tool_choice=choice)["toolConfig"].get("toolChoice") == told

    def test_to_demand_a_call_is_to_demand_the_only_one(self):
        body = encode(model=MISTRAL, tools=(F,), tool_choice=ToolChoice("function", "f"))
        assert body["toolConfig"]["toolChoice"] == {"any": {}}

    @pytest.mark.parametrize(
        ("model", "choice"),
        [
            (LLAMA, ToolChoice("required")),
            (LLAMA, ToolChoice("function", "f")),
            (MISTRAL, ToolChoice("function", "f")),
            (DEEPSEEK, ToolChoice("function", "f")),
        ],
    )
    def test_choices_that_a_model_does_not_take(self, model, choice):
        assert refusal(model, tools=(F, G), tool_choice=choice).param == "tool_choice"

    def test_a_call_is_demanded_of_nobody(self):
        assert refusal(tool_choice=ToolChoice("required")).param == "tool_choice"

    def test_one_call_at_a_time(self):
        body = encode(tools=(F,), parallel_tool_calls=False)
        assert "toolChoice" not in body["toolConfig"]
        assert body["additionalModelRequestFields"] == {
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}
        }
        body = encode(tools=(F,), parallel_tool_calls=False, tool_choice=ToolChoice("function", "f"))
        assert body["additionalModelRequestFields"] == {
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
        }
        for model in (NOVA, CLAUDE_3):
            assert refusal(model, tools=(F,), parallel_tool_calls=False).param == "parallel_tool_calls"
        assert encode(model=NOVA, parallel_tool_calls=False) == encode(model=NOVA)
        assert encode(model=NOVA, tools=(F,), parallel_tool_calls=True) == encode(model=NOVA, tools=(F,))

    def test_the_history_alone_brings_them_along(self):
        (tool,) = encode(messages=LOOP)["toolConfig"]["tools"]
        assert tool["toolSpec"]["name"] == "f"
        assert "must not be called" in tool["toolSpec"]["description"]
        assert tool["toolSpec"]["inputSchema"]["json"]["additionalProperties"] is True

    def test_none_leaves_those_of_the_history_and_no_other(self):
        asked = {"tools": (F, G), "tool_choice": ToolChoice("none")}
        assert "toolConfig" not in encode(**asked)
        assert encode(messages=LOOP, **asked) == encode(messages=LOOP)

    def test_a_model_without_tools(self):
        assert refusal(R1, tools=(F,)).param == "tools"
        assert refusal(R1, messages=LOOP).param == "messages"
        assert encode(model=R1, tools=(F,), tool_choice=ToolChoice("none")) == encode(model=R1)

    def test_names(self):
        assert refusal(tools=(Tool("a.b"),)).param == "tools[0].function.name"
        assert refusal(tools=(Tool("x" * 65),)).param == "tools[0].function.name"
        history = (user("Hi"), called("c", name="a.b"), result("c", "1"))
        assert refusal(messages=history).param == "messages[1].tool_calls[0].function.name"

    def test_strict_where_it_is_kept(self):
        strict = Tool("f", None, F.parameters, True)
        spec = encode(tools=(strict,))["toolConfig"]["tools"][0]["toolSpec"]
        assert spec["strict"] is True
        assert spec["inputSchema"]["json"]["additionalProperties"] is False
        assert refusal(NOVA, tools=(strict,)).param == "tools[0].function.strict"

    def test_a_schema_of_no_object(self):
        tool = Tool("f", None, Raw(b'{"type":"array"}'))
        assert refusal(tools=(tool,)).param == "tools[0].function.parameters"


class TestOutput:
    SCHEMA = OutputFormat(
        "json_schema", JsonSchema("s", Raw(b'{"type":"object","properties":{"a":{"type":"integer"}}}'), "d")
    )

    def test_a_schema(self):
        assert encode(output_format=self.SCHEMA)["outputConfig"]["textFormat"] == {
            "type": "json_schema",
            "structure": {
                "jsonSchema": {
                    "schema": '{"type":"object","properties":{"a":{"type":"integer"}},'
                    '"additionalProperties":false}',
                    "name": "s",
                    "description": "d",
                }
            },
        }

    @pytest.mark.parametrize("model", [NOVA, LLAMA, R1, PROFILE, CLAUDE_3])
    def test_a_schema_where_nobody_would_keep_to_it(self, model):
        assert refusal(model, output_format=self.SCHEMA).param == "response_format"

    def test_any_json_object(self):
        assert encode(output_format=OutputFormat("json_object"))["system"] == [{"text": ONLY_JSON}]

    def test_no_schema(self):
        wanted = OutputFormat("json_schema", JsonSchema("s"))
        assert refusal(output_format=wanted).param == "response_format.json_schema.schema"


class TestMetadata:
    def test_is_written_to_the_accounts_log(self):
        body = encode(metadata={"course": "a b:1"}, user="ann@uni.test")
        assert body["requestMetadata"] == {"course": "a b:1", "user": "ann@uni.test"}

    @pytest.mark.parametrize(
        ("changed", "param"),
        [
            ({"metadata": {"a": "é"}}, "metadata"),
            ({"metadata": {"a|b": "c"}}, "metadata"),
            ({"metadata": {"a": "x" * 257}}, "metadata"),
            ({"metadata": {"": "x"}}, "metadata"),
            ({"metadata": {"user": "a"}, "user": "b"}, "metadata"),
            ({"metadata": {str(n): "" for n in range(16)}, "user": "b"}, "metadata"),
            ({"user": "auth0|1"}, "user"),
        ],
    )
    def test_what_the_log_does_not_take(self, changed, param):
        assert refusal(**changed).param == param


class TestCaching:
    LONG = "x" * 40_000

    def points(self, body):
        return [
            (kind, n, block["cachePoint"])
            for kind, blocks in (
                ("tools", body.get("toolConfig", {}).get("tools", [])),
                ("system", body.get("system", [])),
                *((turn["role"], turn["content"]) for turn in body["messages"]),
            )
            for n, block in enumerate(blocks)
            if "cachePoint" in block
        ]

    def test_a_callers_marks(self):
        body = encode(
            messages=(system(Text("S", CacheMark("1h"))), user(Text("U", CacheMark()))),
            tools=(Tool("f", cache=CacheMark("1h")),),
        )
        assert self.points(body) == [
            ("tools", 1, {"type": "default", "ttl": "1h"}),
            ("system", 1, {"type": "default", "ttl": "1h"}),
            ("user", 1, {"type": "default"}),
        ]

    def test_where_they_are_not_read(self):
        marked = (user(Text("U", CacheMark())),)
        for model in (LLAMA, MISTRAL, PROFILE, CLAUDE_3):
            assert refusal(model, messages=marked).param == "messages[0].content[0].cache_control"
        hour = (user(Text("U", CacheMark("1h"))),)
        assert refusal(NOVA, messages=hour).param == "messages[0].content[0].cache_control.ttl"
        assert refusal(NOVA, tools=(Tool("f", cache=CacheMark()),)).param == "tools[0].cache_control"
        assert self.points(encode(model=NOVA, messages=marked)) == [("user", 1, {"type": "default"})]

    def test_at_most_four(self):
        five = (user(*(Text(text, CacheMark()) for text in "abcde")),)
        assert refusal(messages=five).param == "messages[0].content[4].cache_control"

    def test_automatic_ones_where_a_conversation_goes_on(self):
        first = (system(self.LONG), user("Hi"))
        more = (*first, assistant("Hi"), user("And?"))
        assert self.points(encode(messages=first, caching="continued")) == []
        assert len(self.points(encode(messages=first, caching="always"))) == 2
        point = {"type": "default"}
        marked = [("system", 1, point), ("user", 1, point), ("user", 1, point)]
        assert self.points(encode(messages=more, caching="continued")) == marked
        assert self.points(encode(model=NOVA_2, messages=more, caching="continued")) == marked
        assert self.points(encode(model=LLAMA, messages=more, caching="continued")) == []
        assert self.points(encode(messages=more, caching="off")) == []

    def test_no_automatic_one_among_tools_that_have_none(self):
        tools = (Tool("f", self.LONG),)
        more = (user("Hi"), assistant("Hi"), user("And?"))
        assert self.points(encode(messages=more, tools=tools, caching="continued"))[0][0] == "tools"
        nova = encode(model=NOVA, messages=more, tools=tools, caching="always")
        assert all(where != "tools" for where, _, _ in self.points(nova))


def test_a_model_without_instructions():
    assert refusal(MIXTRAL, messages=(system("S"), user("Hi"))).param == "messages[0].content[0]"


def test_a_name_that_no_message_has():
    named = (HELLO.messages[0].__class__("user", (Text("Hi"),), "ann"),)
    assert refusal(messages=named).param == "messages[0].name"


def test_calls_are_not_made_up():
    assert refusal(messages=(user("a"), assistant(ToolCall("c", "f", "[1]")), result("c", "1"))).param == (
        "messages[1].tool_calls[0].function.arguments"
    )
    assert encode(model=CLAUDE, messages=LOOP)["messages"][1]["content"] == [
        {"toolUse": {"toolUseId": "call_1", "name": "f", "input": {"a": 1}}}
    ]
