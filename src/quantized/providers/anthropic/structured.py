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
    return {"type": "json_schema", "schema": closed(_decoded(wanted.schema.schema), f"{field}.schema")}


def _decoded(raw: Raw) -> dict[str, Any]:
    schema: dict[str, Any] = decode(raw)
    return schema
