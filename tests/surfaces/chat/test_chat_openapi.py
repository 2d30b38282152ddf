"""The description is valid, and says what the code does."""

import json
from typing import Any

from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from quantized.surfaces.chat.openapi import PATH, component_schemas, path_item
from quantized.surfaces.chat.schema import ChatCompletionRequest
from quantized.surfaces.chat.surface import ChatSurface

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Quantized", "version": "1"},
    "paths": {PATH: path_item()},
    "components": {"schemas": component_schemas()},
}


def accepts(name: str, value: Any) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return bool(OAS31Validator(schema).is_valid(value))


def test_the_description_is_valid_openapi() -> None:
    validate(DOCUMENT)
    json.dumps(DOCUMENT)


def test_every_field_is_described() -> None:
    described = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]
    assert list(described["properties"]) == list(ChatCompletionRequest.__struct_fields__)
    assert described["required"] == ["model", "messages"]
    assert described["additionalProperties"] is False


def test_the_description_agrees_with_the_parser() -> None:
    good = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 2, "stop": None}
    ChatSurface().parse(json.dumps(good).encode())
    assert accepts("ChatCompletionRequest", good)
    for bad in (
        {**good, "temperature": 3},
        {**good, "n": 1},
        {**good, "messages": []},
        {**good, "messages": [{"role": "user"}]},
        {"model": "m"},
    ):
        assert not accepts("ChatCompletionRequest", bad)


def test_errors_are_described() -> None:
    assert accepts("ErrorResponse", {"error": {"message": "m", "type": "t", "param": None, "code": "c"}})
    responses = path_item()["post"]["responses"]
    assert list(responses) == ["200", "400", "401", "402", "404", "413", "429", "503"]
