"""Structured output."""

from typing import Any

from msgspec import Raw
from msgspec.json import decode

from quantized.core.request import OutputFormat
from quantized.providers.anthropic.models import Abilities
from quantized.providers.refusal import unsupported
from quantized.providers.structured import closed


def format_of(wanted: OutputFormat | None, model: Abilities) -> dict[str, Any] | None:
    """`output_config.format`. Raises Refused."""
    if wanted is None or wanted.schema is None:
        return None
    field = "response_format.json_schema"
    if not model.schemas:
        raise unsupported(
            "response_format",
            "this model has no structured output; use Claude 4.5 or newer, or a function with the schema",
        )
    if wanted.schema.schema is None:
        raise unsupported(f"{field}.schema", "structured output needs a schema")
    schema = closed(_decoded(wanted.schema.schema), f"{field}.schema")
    return {"type": "json_schema", "schema": _described(schema, wanted.schema.description)}


def _described(schema: dict[str, Any], description: str | None) -> dict[str, Any]:
    """Nothing but the schema itself can tell the model what it is for."""
    if description is None:
        return schema
    own = schema.get("description")
    told = f"{description}\n\n{own}" if isinstance(own, str) and own != description else description
    return {**schema, "description": told}


def _decoded(raw: Raw) -> dict[str, Any]:
    schema: dict[str, Any] = decode(raw)
    return schema
