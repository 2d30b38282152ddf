"""`/admin/v1` as OpenAPI 3.1, made from the table that it is routed by and the structs that judge it."""

from functools import cache
from typing import Any

from msgspec import json

from quantized import __version__
from quantized.admin.errors import ErrorBody
from quantized.admin.reading import FORMAT
from quantized.administration.endpoints import ENDPOINTS, OPERATORS, PREFIX, READERS, Endpoint

_ABOUT = """Institutions, licences, keys and credits. Every amount is an integer in micro-credits (1 credit =
1,000,000 micro-credits), every time RFC 3339. Wherever something is referred to, its id or its alias will do.
The credential is an admin key, made with `quantized admin-key create` or by an operator; it is no API key,
and no API key is accepted here. What is another institution's does not exist for whoever is bounded by one. A
request with an `Idempotency-Key` is done once in 24 hours, however often it is sent."""

_REF = "#/components/schemas/{name}"
# Python's `$` matches before a last newline, too; no other reader of the pattern needs to be told.
_NO_NEWLINE = r"(?!\n)"

_FAILURES = {
    "400": "A value does not fit; `param` says which",
    "401": "Invalid admin key",
    "403": "The role does not allow it",
    "404": "There is none, or it is another institution's",
    "409": "It does not fit what is there",
    "413": "The body is too large",
    "422": "The Idempotency-Key was used with another request",
    "429": "Too many requests at once",
    "503": "The database does not answer",
}
_ERROR = {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}}
_READING_FAILURES = ("400", "401", "404", "409", "429", "503")


@cache
def description() -> bytes:
    """The document."""
    types = [
        *(endpoint.rest for endpoint in ENDPOINTS),
        *(endpoint.answer for endpoint in ENDPOINTS),
        ErrorBody,
    ]
    _, schemas = json.schema_components(types, ref_template=_REF)
    schemas = _portable(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        path = paths.setdefault(PREFIX + endpoint.path, {})
        path[endpoint.method.lower()] = _operation(endpoint, schemas)
    bodies = {endpoint.rest.__name__ for endpoint in ENDPOINTS if not _has_body(endpoint)}
    return json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Quantized administration", "version": __version__, "description": _ABOUT},
            "paths": paths,
            "components": {
                "schemas": {name: schema for name, schema in schemas.items() if name not in bodies},
                "responses": {
                    status: {"description": what, "content": _ERROR} for status, what in _FAILURES.items()
                },
                "securitySchemes": {"adminKey": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"adminKey": []}],
        }
    )


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    answer = json.schema_components([endpoint.answer], ref_template=_REF)[0][0]
    content = {"application/json": {"schema": answer}}
    if endpoint.has_csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    failures = _READING_FAILURES if endpoint.method == "GET" else tuple(_FAILURES)
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": _who(endpoint),
        "parameters": _parameters(endpoint, schemas),
        "responses": {
            str(endpoint.status): {"description": endpoint.summary, "content": content},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in failures},
        },
    }
    if _has_body(endpoint):
        schema = {"$ref": _REF.format(name=endpoint.rest.__name__)}
        required = bool(schemas[endpoint.rest.__name__].get("required"))
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return operation


def _has_body(endpoint: Endpoint) -> bool:
    return endpoint.method != "GET"


def _who(endpoint: Endpoint) -> str:
    if endpoint.roles == READERS:
        who = "All roles."
    else:
        who = "Operators." if endpoint.roles == OPERATORS else "Operators and institutions' admins."
    return f"{who} {' '.join((endpoint.verb.__doc__ or '').split())}".strip()


def _parameters(endpoint: Endpoint, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    reference = {"type": "string", "pattern": "^[!-.0-~]{1,200}$", "description": "An id or an alias."}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": reference} for name in endpoint.in_path
    ]
    if endpoint.method == "GET":
        properties = schemas[endpoint.rest.__name__]["properties"]
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": _not_null(schema)}
            for name, schema in properties.items()
        ]
    else:
        key = {"type": "string", "pattern": "^[!-~]{1,255}$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    if endpoint.has_csv:
        formats = {"type": "string", "enum": ["json", "csv"], "default": "json"}
        parameters.append({"name": FORMAT, "in": "query", "required": False, "schema": formats})
    return parameters


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out, and never null."""
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    return branches[0] if len(branches) == 1 else schema


def _portable(value: Any) -> Any:
    match value:
        case dict():
            return {name: _portable(inner) for name, inner in value.items()}
        case list():
            return [_portable(inner) for inner in value]
        case str():
            return value.replace(_NO_NEWLINE, "")
        case _:
            return value
