"""Refusing by name, in code that several providers share."""

from quantized.core.errors import InvalidRequest, InvalidValue, UnsupportedParameter


class Refused(Exception):
    """What cannot be honoured, before it is known whose name to say. Whoever encodes for a provider turns it
    into that provider's refusal."""

    def __init__(self, param: str, why: str) -> None:
        super().__init__(param, why)
        self.param = param
        self.why = why

    def by(self, provider: str) -> InvalidRequest:
        return UnsupportedParameter(
            f"'{self.param}' is not supported by the provider '{provider}': {self.why}",
            param=self.param,
            code="unsupported_parameter",
        )


class Damaged(Refused):
    """What a provider sealed and comes back as something else."""

    def __init__(self, param: str) -> None:
        super().__init__(param, "a sealed block is not as it was")

    def by(self, provider: str) -> InvalidRequest:
        return InvalidValue(
            f"Invalid value for '{self.param}': a block is not as the provider '{provider}' wrote it. Send "
            "the blocks of an answer back unchanged, or none of them.",
            param=self.param,
        )


def unsupported(param: str, why: str) -> Refused:
    """`param`: the path of the caller's field, as chat completions spell it. `why` tells what would work."""
    return Refused(param, why)
