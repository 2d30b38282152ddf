"""The endpoints as OpenAPI 3.1 says them, made from the very types that read and write them."""

from typing import Any

import msgspec

from quantized.surfaces.responses.answers import ErrorBody, Response
from quantized.surfaces.responses.events import AnyEvent
from quantized.surfaces.responses.items import MESSAGES, OTHERS
from quantized.surfaces.responses.listing import DeletedResponse, InputItemList
from quantized.surfaces.responses.schema import ResponseRequest

PATH = "/v1/responses"
ONE_PATH = "/v1/responses/{response_id}"
INPUT_ITEMS_PATH = "/v1/responses/{response_id}/input_items"

_ERRORS = {
    "400": "The request is invalid; `error.param` is the field at fault.",
    "401": "The API key is missing, wrong, deactivated or expired.",
    "402": "Insufficient credits, of the licence or of the user's allowance within it.",
    "404": "There is no such model, or no such response to continue.",
    "413": "The body is too large.",
    "422": "A parameter is not supported, or the structure of a field is invalid; `error.param` is its path.",
    "429": "A limit of the licence. `Retry-After` and `x-ratelimit-*` say when to come back.",
    "503": "The provider is unavailable. `Retry-After` says when to come back, where that is known.",
}
_TAGS = ["Responses"]
_ID = {
    "name": "response_id",
    "in": "path",
    "required": True,
    "description": "`resp-…`; `resp_…` is taken for the same.",
    "schema": {"type": "string"},
}


def path_items() -> dict[str, Any]:
    """The path items by path. Their references are to `components/schemas`."""
    return {PATH: {"post": _create()}, ONE_PATH: _one(), INPUT_ITEMS_PATH: {"get": _list_items()}}


def component_schemas() -> dict[str, Any]:
    """What `path_items` refers to, by name."""
    types = (
        ResponseRequest,
        Response,
        ErrorBody,
        InputItemList,
        DeletedResponse,
        *MESSAGES.values(),
        *OTHERS.values(),
        AnyEvent,
    )
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return {**components, "ResponseStreamEvent": schemas[-1]}


def _create() -> dict[str, Any]:
    provider = {
        "name": "X-Quantized-Provider",
        "in": "header",
        "required": False,
        "description": "Forces a provider.",
        "schema": {"type": "string"},
    }
    return {
        "operationId": "createResponse",
        "summary": "Generate a response, or the next one of a conversation",
        "tags": _TAGS,
        "parameters": [provider],
        "requestBody": {"required": True, "content": {"application/json": _schema("ResponseRequest")}},
        "responses": {
            "200": {
                "description": "The response; with `stream` its typed events as server-sent events.",
                "content": {
                    "application/json": _schema("Response"),
                    "text/event-stream": _schema("ResponseStreamEvent"),
                },
            },
            **{status: _error(text) for status, text in _ERRORS.items()},
        },
    }


def _one() -> dict[str, Any]:
    return {
        "get": _read("getResponse", "Read a stored response", "Response", [_ID]),
        "delete": _read("deleteResponse", "Delete a stored response", "DeletedResponse", [_ID]),
    }


def _list_items() -> dict[str, Any]:
    wishes = {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        "order": {"enum": ["asc", "desc"], "default": "desc"},
        "after": {"type": "string"},
    }
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in wishes.items()
    ]
    return _read("listInputItems", "List what a response was asked", "InputItemList", [_ID, *parameters])


def _read(operation: str, summary: str, schema: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    wished = any(parameter["in"] == "query" for parameter in parameters)
    return {
        "operationId": operation,
        "summary": summary,
        "tags": _TAGS,
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, "content": {"application/json": _schema(schema)}},
            **({"400": _error(_ERRORS["400"])} if wished else {}),
            "401": _error(_ERRORS["401"]),
            "404": _error("There is no such response."),
            "503": _error("The database is away."),
        },
    }


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": _schema("ErrorBody")}}


def _schema(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}
