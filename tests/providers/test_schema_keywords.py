"""Which schemas structured output takes: the official package's own transformation has the same opinion."""

from typing import Any

import pytest
from anthropic import transform_schema
from hypothesis import given
from hypothesis import strategies as st

from quantized.providers.refusal import Refused
from quantized.providers.schema_keywords import check_keywords
from quantized.providers.structured import closed

PATH = "response_format.json_schema.schema"


def holding(inner: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": inner}, "additionalProperties": False, **more}


TAKEN = [
    {"type": "string", "format": "date", "pattern": "^[a-z]{2,3}$", "description": "d", "title": "t"},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1},
    {"type": "array", "items": {"type": "integer"}, "minItems": 0},
    {"enum": ["a", 1, True, None]},
    {"const": {"minimum": 1}},
    {"type": "string", "default": {"maxLength": 1}, "examples": [{"not": 1}]},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {"allOf": [{"type": "string"}]},
    {"type": ["string", "null"]},
    # Names of fields are no keywords.
    holding({"type": "string"}, required=["not"], properties={"not": {"type": "string"}}),
]


@pytest.mark.parametrize("inner", TAKEN)
def test_what_is_taken(inner):
    check_keywords(holding(inner), PATH)


def test_definitions_may_be_shared():
    check_keywords(
        holding(
            {"$ref": "#/$defs/a~1b"},
            **{
                "$defs": {
                    "a/b": {"anyOf": [{"$ref": "#/$defs/c"}]},
                    "c": holding({"$ref": "#/$defs/d"}),
                    "d": {},
                }
            },
        ),
        PATH,
    )


REFUSED = [
    ({"type": "integer", "minimum": 1}, ".minimum"),
    ({"type": "number", "exclusiveMaximum": 1}, ".exclusiveMaximum"),
    ({"type": "number", "multipleOf": 2}, ".multipleOf"),
    ({"type": "string", "minLength": 1}, ".minLength"),
    ({"type": "array", "items": {"type": "string", "maxLength": 9}}, ".items.maxLength"),
    ({"type": "array", "maxItems": 3}, ".maxItems"),
    ({"type": "array", "minItems": 2}, ".minItems"),
    ({"type": "array", "uniqueItems": True}, ".uniqueItems"),
    ({"type": "array", "prefixItems": []}, ".prefixItems"),
    ({"type": "object", "patternProperties": {}}, ".patternProperties"),
    ({"oneOf": []}, ".oneOf"),
    ({"not": {}}, ".not"),
    ({"anyOf": [{}, {"if": {}}]}, ".anyOf[1].if"),
    ({"enum": ["a", {}]}, ".enum"),
    ({"type": "string", "pattern": "(?=a)b"}, ".pattern"),
    ({"type": "string", "pattern": r"\bword"}, ".pattern"),
    ({"allOf": [{"$ref": "#/$defs/b"}]}, ".allOf"),
    ({"$ref": "https://example.com/schema"}, ".$ref"),
    ({"$ref": "#"}, ".$ref"),
    ({"$ref": "#/$defs/nowhere"}, ".$ref"),
]


@pytest.mark.parametrize(("inner", "at"), REFUSED)
def test_what_is_refused_and_where(inner, at):
    with pytest.raises(Refused) as refused:
        closed(holding(inner, **{"$defs": {"b": {"type": "string"}}}), PATH)
    assert refused.value.param == f"{PATH}.properties.a{at}"


@pytest.mark.parametrize(
    "definitions",
    [
        {"a": holding({"$ref": "#/$defs/a"})},
        {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"type": "array", "items": {"$ref": "#/$defs/a"}}},
    ],
)
def test_no_schema_is_within_itself(definitions):
    with pytest.raises(Refused, match="within themselves") as refused:
        check_keywords(holding({"$ref": "#/$defs/a"}, **{"$defs": definitions}), PATH)
    assert refused.value.param == PATH


def test_ten_thousand_definitions_one_behind_the_other_are_no_trouble():
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(10_000)} | {"d10000": {"type": "string"}}
    check_keywords(holding({"$ref": "#/$defs/d0"}, **{"$defs": chain}), PATH)


LEAVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "array", "boolean"])},
    optional={
        name: st.integers(0, 3)
        for name in (
            "minimum",
            "maxLength",
            "minItems",
            "maxItems",
            "multipleOf",
            "uniqueItems",
            "minProperties",
        )
    },
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(holding, inner),
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_what_the_official_package_would_have_to_leave_out_is_refused(schema):
    left_out = "{" in str(_descriptions(transform_schema(holding(schema))))
    try:
        check_keywords(holding(schema), PATH)
    except Refused:
        assert left_out
    else:
        # A keyword of another type than the schema's is left out there, and means nothing anywhere.
        assert not left_out or "minItems" in str(schema)


def _descriptions(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [text for one in schema for text in _descriptions(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["description"]] if isinstance(schema.get("description"), str) else []
    return own + [text for one in schema.values() for text in _descriptions(one)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "properties",
                        "$defs",
                        "$ref",
                        "items",
                        "anyOf",
                        "allOf",
                        "enum",
                        "pattern",
                        "minItems",
                        "a",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=20,
    ).filter(lambda one: isinstance(one, dict))
)
def test_whatever_is_no_schema_raises_nothing_else(schema):
    try:
        check_keywords(schema, PATH)
    except Refused as refused:
        assert refused.param.startswith(PATH)
