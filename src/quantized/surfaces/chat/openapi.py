"""The endpoint as OpenAPI 3.1 says it, made from the very types that read and write it."""

from typing import Any

import msgspec

from quantized.surfaces.chat.answers import ChatCompletion, ChatCompletionChunk, ErrorResponse
from quantized.surfaces.chat.schema import ChatCompletionRequest

PATH = "/v1/chat/completions"

_ERRORS = {
    "400": "The request is invalid; `error.param` is the path of the field at fault.",
    "401": "The API key is missing, wrong, deactivated or expired.",
    "402": "Insufficient credits, of the licence or of the user's allowance within it.",
    "404": "There is no such model.",
    "413": "The body is too large.",
    "429": "A limit of the licence. `Retry-After` and `x-ratelimit-*` say when to come back.",
    "503": "The provider is unavailable. `Retry-After` says when to come back, where that is known.",
}


def path_item() -> dict[str, Any]:
    """The path item of `PATH`. Its references are to `components/schemas`."""
    return {
        "post": {
            "operationId": "createChatCompletion",
            "summary": "Generate an answer to a conversation",
            "tags": ["Chat completions"],
            "parameters": [
                {
                    "name": "X-Quantized-Provider",
                    "in": "header",
                    "required": False,
                    "description": "Forces a provider.",
                    "schema": {"type": "string"},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": _schema(ChatCompletionRequest)},
            },
            "responses": {
                "200": {
                    "description": "The answer; with `stream` its chunks as server-sent events and `[DONE]`.",
                    "content": {
                        "application/json": _schema(ChatCompletion),
                        "text/event-stream": _schema(ChatCompletionChunk),
                    },
                },
                **{
                    status: {"description": text, "content": {"application/json": _schema(ErrorResponse)}}
                    for status, text in _ERRORS.items()
                },
            },
        }
    }


def component_schemas() -> dict[str, Any]:
    """What `path_item` refers to, by name."""
    _, components = msgspec.json.schema_components(_types(), ref_template="#/components/schemas/{name}")
    return components


def _types() -> tuple[type[msgspec.Struct], ...]:
    return (ChatCompletionRequest, ChatCompletion, ChatCompletionChunk, ErrorResponse)


def _schema(of: type[msgspec.Struct]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{of.__name__}"}}
