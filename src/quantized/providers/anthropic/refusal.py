"""Refusing by name."""

from quantized.core.errors import UnsupportedParameter

NAME = "anthropic"


def unsupported(param: str, why: str) -> UnsupportedParameter:
    """`param` is the path of the caller's field as chat completions spell it; `why` says what would work."""
    return UnsupportedParameter(
        f"'{param}' is not supported by the provider '{NAME}': {why}",
        param=param,
        code="unsupported_parameter",
    )
