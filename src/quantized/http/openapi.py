"""The public API as OpenAPI 3.1: the surfaces describe themselves, the rest is described here."""

from typing import Any

from msgspec import json

from quantized import __version__
from quantized.core.ports import LicenseStatus
from quantized.gateway.routing import PROVIDER_HEADER
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
            "paths": {
                chat.PATH: chat.path_item(),
                **responses.path_items(),
                "/v1/models": _get("listModels", "Models and their rates", _ref("ModelList"), [_PROVIDER]),
                "/v1/models/{id}": _get(
                    "getModel", "One model and its rates", _ref("Model"), [_MODEL_ID, _PROVIDER], absent=True
                ),
                "/v1/license": _get("getLicense", "The licence behind the key; costs nothing", licence, []),
                "/health": _get("health", "The process answers", _STATUS, [], open_to_all=True),
                "/ready": _get("ready", "The process can serve", _STATUS, [], open_to_all=True),
            },
            "components": {
                "schemas": schemas,
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


def _get(
    operation: str,
    summary: str,
    schema: dict[str, Any],
    parameters: list[dict[str, Any]],
    *,
    open_to_all: bool = False,
    absent: bool = False,
) -> dict[str, Any]:
    error = {"content": {"application/json": {"schema": _ref("ErrorResponse")}}}
    responses: dict[str, Any] = {
        "200": {"description": summary, "content": {"application/json": {"schema": schema}}}
    }
    if not open_to_all:
        responses["401"] = {"description": "Invalid API key"} | error
    if absent:
        responses["404"] = {"description": "There is no such model"} | error
    method = {
        "operationId": operation,
        "tags": ["Operation" if open_to_all else "Account"],
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
    }
    return {"get": method | ({"security": []} if open_to_all else {})}


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

_STATUS = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}

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
