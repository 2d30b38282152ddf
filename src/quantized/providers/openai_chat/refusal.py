"""Refusing by name."""

from quantized.core.errors import UnsupportedParameter


def unsupported(provider: str, field: str) -> UnsupportedParameter:
    """`field` is the path of the caller's field, as chat completions spell it."""
    return UnsupportedParameter(
        f"'{field}' is not supported by the provider '{provider}'", param=field, code="unsupported_parameter"
    )
