"""JSON Schema as far as structured output takes it.

Grammars are compiled from a subset of it. Of the keywords that are outside, some are refused and named here;
what is in no standard is passed over by providers, and so it is here. The facts are those of the published
lists of what is supported, of the official packages' own transformation of schemas, and of what the API was
seen to refuse.
"""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from quantized.providers.refusal import unsupported

_REFUSED = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "prefixItems",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedItems",
        "unevaluatedProperties",
        "if",
        "then",
        "else",
        "not",
    }
)
_INSTEAD = "structured output does not know it; leave it out, and ask for it in the 'description'"

_MAPS = ("properties", "$defs", "definitions")
"""Keywords whose values are schemas by name."""
_LISTS = ("anyOf", "allOf")
_DEFINITIONS = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")
_BEYOND_GRAMMAR = re.compile(r"\(\?<?[=!]|\\[bB1-9]")
"""Looking around, word boundaries and what was found before."""

Schema = dict[str, Any]


def check_keywords(schema: Schema, path: str) -> None:
    """Raises Refused, naming the keyword and where it stands. `path`: the caller's field."""
    for at, inner in _schemas(schema, path):
        _check(inner, at)
    _check_references(schema, path)


def _schemas(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """The schema and all that are inside, each with its path."""
    yield path, schema
    for name, value in schema.items():
        for at, inner in _inside(name, value, f"{path}.{name}"):
            yield from _schemas(inner, at)


def _inside(name: str, value: Any, path: str) -> Iterator[tuple[str, Schema]]:
    if name in _MAPS and isinstance(value, dict):
        found = [(f"{path}.{key}", one) for key, one in value.items()]
    elif name in _LISTS and isinstance(value, list):
        found = [(f"{path}[{n}]", one) for n, one in enumerate(value)]
    else:
        found = [(path, value)] if name == "items" else []
    for at, one in found:
        if isinstance(one, dict):
            yield at, one


def _check(schema: Schema, path: str) -> None:
    for name, value in schema.items():
        at = f"{path}.{name}"
        if name in _REFUSED:
            raise unsupported(at, _INSTEAD)
        match name:
            case "oneOf":
                raise unsupported(at, "structured output does not know it; use 'anyOf'")
            case "minItems" if value not in (0, 1):
                raise unsupported(
                    at, "structured output knows 0 and 1 alone; ask for more in the 'description'"
                )
            case "enum" if isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
                raise unsupported(at, "structured output chooses among plain values alone; use 'anyOf'")
            case "pattern" if isinstance(value, str) and _BEYOND_GRAMMAR.search(value):
                raise unsupported(
                    at, "structured output knows no looking around, no word boundaries, no references back"
                )
            case "allOf" if isinstance(value, list) and any(
                isinstance(one, dict) and "$ref" in one for one in value
            ):
                raise unsupported(at, "structured output takes no '$ref' there; write the schema out")


def _check_references(schema: Schema, path: str) -> None:
    """Each is to a definition of the schema's own, and none leads back to itself."""
    named = {name: one for word in ("$defs", "definitions") for name, one in _defined(schema, word)}
    rest = {name: value for name, value in schema.items() if name not in ("$defs", "definitions")}
    leads = {name: set(_references(one, path, named)) for name, one in named.items()}
    leads[""] = set(_references(rest, path, named))
    try:
        TopologicalSorter(leads).prepare()
    except CycleError as error:
        raise unsupported(
            path, f"structured output has no schemas within themselves: '$ref' to '{error.args[1][0][:64]}'"
        ) from None


def _defined(schema: Schema, word: str) -> list[tuple[str, Schema]]:
    found = schema.get(word)
    if not isinstance(found, dict):
        return []
    return [(name, one) for name, one in found.items() if isinstance(one, dict)]


def _references(schema: Schema, path: str, named: dict[str, Schema]) -> Iterator[str]:
    for at, inner in _schemas(schema, path):
        reference = inner.get("$ref")
        if not isinstance(reference, str):
            continue
        found = _DEFINITIONS.fullmatch(reference)
        name = found[1].replace("~1", "/").replace("~0", "~") if found else ""
        if not name or name not in named:
            raise unsupported(f"{at}.$ref", "structured output follows references to its own '$defs' alone")
        yield name
