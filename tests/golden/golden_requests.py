"""The requests whose wires are golden, by the name of their file. `model` is added to each."""

from typing import Any

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
NESTED = {
    "type": "function",
    "function": {name: value for name, value in WEATHER.items() if name != "type"},
}
QUESTION = {"role": "user", "content": "The weather in Paris?"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": '{"temp": 18}'}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}

BEFORE: dict[str, Any] = {
    "request": {
        "model": "author/model",
        "instructions": "Belongs to its own turn alone.",
        "input": [QUESTION],
        "tools": [WEATHER],
    },
    "answer": {
        "id": "gen-1",
        "created": 1_719_000_000,
        "model": "author/model",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "One moment.",
                    "reasoning": "Let me think.",
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": "Let me think.", "signature": "c2ln", "index": 0},
                        {"type": "reasoning.encrypted", "data": "gAAAA", "id": "rs_1", "index": 1},
                    ],
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                        }
                    ],
                },
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9},
    },
}
"""A request and its answer, stored as `resp-before`."""


def parts(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def thinking(**wish: Any) -> dict[str, Any]:
    return {"input": "Hi", "reasoning": wish}


def choosing(choice: Any, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"input": "Hi", "tools": list(tools or (WEATHER,)), "tool_choice": choice}


SHAPES: dict[str, dict[str, Any]] = {
    "string": {"input": "Hi"},
    "string-streamed": {"input": "Hi", "stream": True},
    "instructions": {"input": "Hi", "instructions": "Be brief."},
    "every-number": {
        "input": "Hi",
        "max_output_tokens": 128,
        "temperature": 0.7,
        "top_p": 0.9,
        "frequency_penalty": -0.5,
        "presence_penalty": 1,
    },
    "roles": {
        "input": [
            {"role": "system", "content": "S"},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "D"}]},
            {"role": "user", "content": "U"},
            {"role": "assistant", "content": "A"},
            {"role": "user", "content": "U2"},
        ]
    },
    "several-texts": {"input": parts(*({"type": "input_text", "text": text} for text in "ab"))},
    "image-url": {
        "input": parts(
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        )
    },
    "image-data": {"input": parts({"type": "input_image", "image_url": "data:image/png;base64,iVBORw0="})},
    "audio": {"input": parts({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}})},
    "file-data": {
        "input": parts(
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}
        )
    },
    "file-url": {"input": parts({"type": "input_file", "file_url": "https://example.com/a.pdf"})},
    "file-id": {"input": parts({"type": "input_file", "file_id": "file-1"})},
    "output-items": {
        "input": [
            QUESTION,
            {
                "type": "message",
                "id": "msg-1",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "It ", "annotations": [], "logprobs": []},
                    {"type": "output_text", "text": "rains.", "annotations": []},
                ],
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "No more."}],
            },
            {"role": "user", "content": "Why?"},
        ]
    },
    "tools-flat": {"input": "Hi", "tools": [WEATHER], "parallel_tool_calls": False},
    "tools-nested": {"input": "Hi", "tools": [NESTED], "parallel_tool_calls": True},
    "tool-bare": {"input": "Hi", "tools": [{"type": "function", "name": "now", "parameters": None}]},
    "tool-choice-auto": choosing("auto"),
    "tool-choice-none": choosing("none"),
    "tool-choice-required": choosing("required"),
    "tool-choice-flat": choosing({"type": "function", "name": "get_weather"}),
    "tool-choice-nested": choosing({"type": "function", "function": {"name": "get_weather"}}, NESTED),
    "tool-choice-unknown": choosing({"type": "function", "name": "nobody"}),
    "tool-loop": {"input": [QUESTION, CALL, RESULT], "tools": [WEATHER]},
    "tool-loop-parts": {
        "input": [
            QUESTION,
            CALL,
            {**CALL, "call_id": "call_2"},
            {**RESULT, "output": [{"type": "input_text", "text": "18"}]},
            {
                **RESULT,
                "call_id": "call_2",
                "output": [{"type": "input_image", "image_url": "https://example.com/sky.png"}],
            },
        ],
        "tools": [WEATHER],
    },
    "reasoning-none": thinking(effort="none"),
    "reasoning-low": thinking(effort="low"),
    "reasoning-medium": thinking(effort="medium"),
    "reasoning-high": thinking(effort="high", exclude=False),
    "reasoning-excluded": thinking(effort="high", exclude=True),
    "reasoning-only-excluded": thinking(exclude=True),
    "reasoning-item": {
        "input": [
            QUESTION,
            {"type": "reasoning", "id": "rs_else", "summary": [{"type": "summary_text", "text": "Hm."}]},
            CALL | {"call_id": "call_9"},
            RESULT | {"call_id": "call_9"},
        ]
    },
    "web-search": {
        "input": "News?",
        "tools": [
            {"type": "web_search_preview", "search_context_size": "low"},
            {"type": "function", "name": "now"},
        ],
    },
    "web-search-place": {
        "input": "News?",
        "tools": [
            {"type": "web_search", "user_location": {"type": "approximate", "city": "Bern", "country": "CH"}}
        ],
    },
    "previous": {"input": [RESULT], "previous_response_id": "resp-before", "tools": [WEATHER]},
    "previous-own-instructions": {
        "input": [RESULT],
        "instructions": "Be brief.",
        "previous_response_id": "resp_before",
    },
    "item-reference": {
        "input": [
            QUESTION,
            {"type": "item_reference", "id": "rs-before-0"},
            {"id": "msg-before-1"},
            {"type": "item_reference", "id": "fc-before-2"},
            RESULT,
        ]
    },
    "item-reference-unknown": {"input": [{"type": "item_reference", "id": "msg-else-0"}]},
    "call-without-reasoning": {"input": [QUESTION, CALL, RESULT]},
    "result-without-call": {"input": [RESULT]},
    "store": {"input": "Hi", "store": True},
}
