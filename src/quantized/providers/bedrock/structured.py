"""Structured output."""

from typing import Any

from msgspec.json import decode, encode

from quantized.core.request import OutputFormat
from quantized.providers.bedrock.families import Family
from quantized.providers.refusal import unsupported
from quantized.providers.structured import closed


def text_format(wanted: OutputFormat | None, family: Family) -> dict[str, Any] | None:
    """`outputConfig.textFormat`; the schema is JSON text there. Raises Refused."""
    if wanted is None or wanted.schema is None:
        return None
    if not family.schemas:
        raise unsupported(
            "response_format",
            "this model has no structured output; use another, or a function with the schema",
        )
    schema, field = wanted.schema, "response_format.json_schema.schema"
    if schema.schema is None:
        raise unsupported(field, "structured output needs a schema")
    asked: dict[str, Any] = decode(schema.schema)
    told: dict[str, Any] = {"schema": encode(closed(asked, field)).decode(), "name": schema.name}
    if schema.description is not None:
        told["description"] = schema.description
    return {"type": "json_schema", "structure": {"jsonSchema": told}}
