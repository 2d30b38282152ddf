"""A value that fits a JSON Schema, always the same one. Best effort: what cannot be met is left unmet."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_DEEPEST = 8
_MOST_VALUES = 1_000
"""A schema of a few lines can describe a value without end."""

_FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "demo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_SAMPLES = ("demo", "Demo", "DEMO", "a", "A", "1", "12345", "2025-01-01", "12:00", "AB", "ABC-123", "#000000")
_PLACES = re.compile(r"city|town|place|location|destination|country|region", re.IGNORECASE)


class Filler:
    """Fills schemas of one request. `place` is the place the prompt speaks of, `topic` what it asks for."""

    def __init__(self, root: Mapping[str, Any], *, place: str, topic: str) -> None:
        self._root = root
        self._place = place
        self._topic = topic
        self._made = 0

    def fill(self) -> Any:
        return self._value(self._root, "", 0)

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        self._made += 1
        schema = self._resolved(schema)
        value: Any = None
        step = _numeric(schema.get("multipleOf"))
        fixed = _fixed(schema)
        match "fixed" if fixed else _kind(schema):
            case "fixed":
                value = fixed[0]
            case "object":
                value = self._object(schema, depth)
            case "array":
                value = self._array(schema, name, depth)
            case "string":
                value = self._string(schema, name)
            case "integer":
                value = _number(schema, step or 1)
            case "number":
                value = _number(schema, step)
            case "boolean":
                value = True
        return value

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """With references followed, alternatives chosen and conjunctions merged."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, Mapping):
                return {}
            if isinstance(schema.get("$ref"), str):
                schema = _pointed_at(self._root, schema["$ref"])
                continue
            choices = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
            if choices:
                schema = next((c for c in choices if not _is_null(c)), choices[0])
                continue
            if isinstance(schema.get("allOf"), list):
                schema = _merged([{k: v for k, v in schema.items() if k != "allOf"}, *schema["allOf"]])
                continue
            return schema
        return {}

    def _is_enough(self, depth: int) -> bool:
        """Only what is required from here on."""
        return depth >= _DEEPEST or self._made >= _MOST_VALUES

    def _is_too_much(self, depth: int) -> bool:
        return depth >= 2 * _DEEPEST or self._made >= 2 * _MOST_VALUES

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = _mapping(schema.get("properties"))
        if self._is_too_much(depth):
            return {}
        required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
        names = required if self._is_enough(depth) else properties
        return {name: self._value(properties[name], name, depth + 1) for name in names if name in properties}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if self._is_too_much(depth):
            return []
        least = _whole(schema.get("minItems"), 0)
        count = max(1, least)
        if self._is_enough(depth):
            count = least
        first = _list(schema.get("prefixItems"))
        rest = [schema.get("items", {})] * (
            min(count, _whole(schema.get("maxItems"), count), 20) - len(first)
        )
        return [self._value(item, name, depth + 1) for item in (*first, *rest)]

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        wanted = schema.get("format")
        if isinstance(wanted, str) and wanted in _FORMATS:
            return _FORMATS[wanted]
        text = self._place if _PLACES.search(name) else self._topic
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            return _matching(pattern, text)
        least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), 200)
        return text[:most].ljust(min(least, 10_000), ".")


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next((k for k in kind if k != "null"), None)
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _pointed_at(root: Mapping[str, Any], pointer: str) -> Any:
    """What a local JSON pointer (`#/$defs/Name`) names; an empty schema for any other."""
    here: Any = root
    for step in pointer.removeprefix("#").split("/")[1:]:
        here = here.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(here, Mapping) else None
    return here if pointer.startswith("#") and here is not None else {}


def _merged(schemas: list[Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for schema in map(_mapping, schemas):
        properties = {**_mapping(merged.get("properties")), **_mapping(schema.get("properties"))}
        required = [*_list(merged.get("required")), *_list(schema.get("required"))]
        merged |= schema
        merged |= {"properties": properties} if properties else {}
        merged |= {"required": required} if required else {}
    return merged


def _fixed(schema: Mapping[str, Any]) -> list[Any]:
    """Values that the schema itself names."""
    named = [schema[keyword] for keyword in ("const", "default") if keyword in schema]
    return [*_list(schema.get("enum")), *named, *_list(schema.get("examples"))]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise


def _numeric(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and abs(value) < 1e15 else None


def _number(schema: Mapping[str, Any], step: int | float | None) -> int | float:
    """One step (of 1 where there is none), or the nearest value that the bounds allow."""
    least, above, most, below = (
        _numeric(schema.get(bound))
        for bound in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    )
    unit = step if step is not None and step > 0 else 1
    gap = unit if step is not None else 0.5
    value = unit
    if most is not None and value > most:
        value = most // unit * unit if step is not None else most
    if below is not None and value >= below:
        value = (below // unit - (below % unit == 0)) * unit if step is not None else below - gap
    if least is not None and value < least:
        value = -(-least // unit) * unit if step is not None else least
    if above is not None and value <= above:
        value = (above // unit + 1) * unit if step is not None else above + gap
    return value


def _matching(pattern: str, text: str) -> str:
    """A sample that matches. Only short ones are tried, and only on short patterns: a pattern comes from a
    stranger, and matching can take exponential time."""
    if len(pattern) > 100:
        return text
    try:
        compiled = re.compile(pattern)
    except re.error:
        return text
    samples = (text, *_SAMPLES) if len(text) <= 16 else _SAMPLES
    return next((sample for sample in samples if compiled.search(sample)), text)
