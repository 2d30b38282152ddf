"""Faults to what a caller of chat completions is told: a status and OpenAI's error body."""

from msgspec import UNSET
from msgspec.json import Encoder

from quantized.core.errors import Fault
from quantized.core.usage import Bill
from quantized.surfaces.chat.answers import Error, ErrorResponse, usage_of
from quantized.surfaces.kinds import kind_of, retry_after
from quantized.surfaces.surface import ErrorAnswer

_ENCODER = Encoder()


def render_error(fault: Fault) -> ErrorAnswer:
    return ErrorAnswer(kind_of(fault).status, error_body(fault), retry_after(fault))


def error_body(fault: Fault, bill: Bill | None = None) -> bytes:
    kind = kind_of(fault)
    error = Error(fault.message, kind.type, fault.param, fault.code or kind.code)
    return _ENCODER.encode(ErrorResponse(error, UNSET if bill is None else usage_of(bill)))
