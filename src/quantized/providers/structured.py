"""JSON Schemas as structured output wants them: in its own subset, and with every object closed."""

from typing import Any

from quantized.providers.refusal import unsupported
from quantized.providers.schema_keywords import check_keywords

ONLY_JSON = (
    "Answer with one JSON object and nothing else: no words before or after it, and no code fence around it."
)
"""What stands for `json_object`, for which there is no setting."""

_NAMED = ("properties", "$defs", "definitions", "patternProperties")
_VALUES = ("enum", "const", "default", "required", "examples")


def closed(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema with every object closed that does not say: what fits it fits the caller's as well.

    Raises Refused for objects that are meant to be open, and for what structured output does not know.
    """
    check_keywords(schema, path)
    return _close(schema, path)


def _close(schema: dict[str, Any], path: str) -> dict[str, Any]:
    return {name: _inside(name, value, path) for name, value in _closed_here(schema, path).items()}


def _closed_here(schema: dict[str, Any], path: str) -> dict[str, Any]:
    kinds = schema.get("type")
    if not (kinds == "object" or (isinstance(kinds, list) and "object" in kinds)):
        return schema
    if schema.get("additionalProperties") is False:
        return schema
    if schema.get("additionalProperties") is not None or "properties" not in schema:
        raise unsupported(
            path, "structured output has no open objects; name their 'properties', and no additional ones"
        )
    return {**schema, "additionalProperties": False}


def _inside(name: str, value: Any, path: str) -> Any:
    if name in _VALUES:
        return value
    if name in _NAMED and isinstance(value, dict):
        return {key: _closed(one, path) for key, one in value.items()}
    if isinstance(value, list):
        return [_closed(one, path) for one in value]
    return _closed(value, path)


def _closed(value: Any, path: str) -> Any:
    return _close(value, path) if isinstance(value, dict) else value
