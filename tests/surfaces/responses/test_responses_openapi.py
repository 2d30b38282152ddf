"""What the endpoints say of themselves in OpenAPI."""

import json
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from responses_samples import ANSWERS, BILL, IDENTITY, STREAMED, SURFACE, conversation, frames, streamed
from test_responses_fuzz import VALID

from quantized.surfaces.chat import openapi as chat
from quantized.surfaces.responses import openapi

DOCUMENT: dict[str, Any] = json.loads(
    json.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "t", "version": "1"},
            "paths": openapi.path_items(),
            "components": {"schemas": openapi.component_schemas()},
        }
    )
)


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


def test_the_document_is_valid():
    validate(DOCUMENT)


def test_names_do_not_clash_with_those_of_chat_completions():
    shared = set(openapi.component_schemas()) & set(chat.component_schemas())
    assert {
        name for name in shared if openapi.component_schemas()[name] != chat.component_schemas()[name]
    } == set()


def test_requests_answers_and_events_are_as_described():
    assert not list(schema("ResponseRequest").iter_errors(VALID))
    assert list(schema("ResponseRequest").iter_errors({**VALID, "store": True}))
    assert list(schema("ResponseRequest").iter_errors({"model": "m", "input": [{"role": "nobody"}]}))
    for name in ANSWERS:
        said, turn = streamed(STREAMED[name])
        body = json.loads(SURFACE.render(turn, BILL))
        assert not list(schema("Response").iter_errors(body))
        for payload in frames(said):
            assert not list(schema("ResponseStreamEvent").iter_errors(payload)), payload["type"]


def test_every_documented_field_is_described():
    fields = openapi.component_schemas()["ResponseRequest"]["properties"]
    assert len(fields) == 14
    assert set(conversation().asked.written.__struct_fields__) == set(fields)
    assert IDENTITY.suffix == "0a1b2c"
