"""The public API as OpenAPI 3.1: the surfaces describe themselves, the rest is described here."""

from typing import Any

from msgspec import json

from quantized import __version__
from quantized.core.ports import LicenseStatus
from quantized.gateway.routing import PROVIDER_HEADER
from quantized.http.limit_headers import LIMIT_HEADERS
from quantized.surfaces.chat import openapi as chat
from quantized.surfaces.responses import openapi as responses

_ABOUT = """OpenAI-compatible chat completions and responses, metered in prepaid credits. Every amount is an
integer in micro-credits (1 credit = 1,000,000 micro-credits). Point any OpenAI SDK at this server's `/v1`."""

_KEY: list[dict[str, list[str]]] = [{"key": []}]


def description() -> bytes:
    """The document of `/openapi.json`."""
    (licence,), licence_schemas = json.schema_components(
        (LicenseStatus,), ref_template="#/components/schemas/{name}"
    )
    schemas = {**_surface_schemas(), **licence_schemas, "Model": _MODEL, "ModelList": _MODEL_LIST}
    return json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Quantized", "version": __version__, "description": _ABOUT},
            "paths": _with_headers(
                {
                    chat.PATH: chat.path_item(),
                    **responses.path_items(),
                    "/v1/models": _get(
                        "listModels", "Models and their rates", _ref("ModelList"), [_PROVIDER]
                    ),
                    "/v1/models/{id}": _get(
                        "getModel", "One model and its rates", _ref("Model"), [_MODEL_ID, _PROVIDER]
                    ),
                    "/v1/license": _get(
                        "getLicense", "The licence behind the key; costs nothing", licence, []
                    ),
                    "/health": _open("health", "The process answers"),
                    "/ready": _open("ready", "The process can serve", or_not="It cannot; `reason` says why."),
                }
            ),
            "components": {
                "schemas": schemas,
                "headers": _HEADERS,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
            "security": _KEY,
        }
    )


def _surface_schemas() -> dict[str, Any]:
    """Of all surfaces. Where two call different things by one name, one of them would be described wrongly:
    raises ValueError."""
    schemas: dict[str, Any] = {}
    for name, schema in (*chat.component_schemas().items(), *responses.component_schemas().items()):
        if schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two surfaces differ in what {name} is")
    return schemas


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _with_headers(paths: dict[str, Any]) -> dict[str, Any]:
    """The paths with the headers of their responses."""
    for path, operations in paths.items():
        for method, operation in operations.items():
            asks = method == "post" and path in {chat.PATH, responses.PATH}
            for status, response in operation["responses"].items():
                named = ["X-Request-Id", *_HEADERS_OF.get(status, ())]
                if asks and status == "200":
                    named += [*_LIMITS, "X-Quantized-Output-Cap"]
                response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
    return paths


def _get(
    operation: str, summary: str, schema: dict[str, Any], parameters: list[dict[str, Any]]
) -> dict[str, Any]:
    """For whoever has a key."""
    faults = {"401": "The API key is missing, wrong, deactivated or expired."}
    if _PROVIDER in parameters:
        faults["400"] = "There is no such provider."
    if _MODEL_ID in parameters:
        faults["404"] = "There is no such model."
    faults["503"] = "The database is away."
    error = {"application/json": {"schema": _ref("ErrorResponse")}}
    return {
        "get": {
            "operationId": operation,
            "tags": ["Account"],
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": summary, "content": {"application/json": {"schema": schema}}},
                **{status: {"description": text, "content": error} for status, text in faults.items()},
            },
        }
    }


def _open(operation: str, summary: str, *, or_not: str | None = None) -> dict[str, Any]:
    """For everybody; a 503 where it is not so."""
    told = {"application/json": {"schema": _STATUS}}
    states = {"200": summary} if or_not is None else {"200": summary, "503": or_not}
    return {
        "get": {
            "operationId": operation,
            "tags": ["Operation"],
            "summary": summary,
            "parameters": [],
            "responses": {status: {"description": text, "content": told} for status, text in states.items()},
            "security": [],
        }
    }


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


_LIMITS = LIMIT_HEADERS
_HEADERS = {
    "X-Request-Id": _header("The request's id, which is in the log as well."),
    "X-Quantized-Output-Cap": _header(
        "The cap on output tokens that the balance or a limit of the licence made necessary, where one did.",
        "integer",
    ),
    "Retry-After": _header("Seconds until it makes sense to ask again, where they are known.", "integer"),
    **{
        name: _header("Where the licence stands with its limits by the minute, if it has any.")
        for name in _LIMITS
    },
}
_HEADERS_OF = {"429": ("Retry-After", *_LIMITS), "503": ("Retry-After",)}
"""Beside the request's id."""

_PROVIDER = {
    "name": PROVIDER_HEADER,
    "in": "header",
    "required": False,
    "description": "Limits the answer to one provider.",
    "schema": {"type": "string"},
}

_MODEL_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "`author/model`; the slash is taken as it is.",
    "schema": {"type": "string"},
}

_STATUS = {
    "type": "object",
    "properties": {"status": {"type": "string"}, "reason": {"type": "string"}},
    "required": ["status"],
}

_MODALITY = {
    "type": "object",
    "properties": {kind: {"type": "boolean"} for kind in ("text", "image", "audio", "video")},
}

_COUNT = {"type": ["integer", "null"]}

_MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by", "cost", "cost_per_million"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "model_author": {"type": "string"},
        "context_window": _COUNT,
        "max_output_tokens": _COUNT,
        "input_modality": _MODALITY,
        "output_modality": _MODALITY,
        "supported_features": {"type": "array", "items": {"type": "string"}},
        "cost": {"type": "object", "description": "Micro-credits for one token, request or search."},
        "cost_per_million": {
            "type": "object",
            "description": (
                "The same rates as integers in micro-credits per million. `credits_used` is the sum of rates "
                "times counts, divided by a million and rounded up once."
            ),
        },
    },
}

_MODEL_LIST = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Model")}},
}
