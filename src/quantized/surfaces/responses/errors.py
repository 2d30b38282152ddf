"""Faults to what a caller of responses is told: a status and OpenAI's error body.

The contract tells two kinds of bad requests apart. 400: what is asked for cannot be served, because a field
of the body is missing, is of the wrong type or out of its range, or because the body is no JSON at all. 422:
the body has another structure than documented, because it holds a field that is not supported, or because
something inside of one of its fields is wrong. So a path of one step is 400, a longer one 422, and an unknown
field is 422 wherever it stands. What only the chosen provider or model cannot do is 400.

What a provider cannot do, or will not take, it says in the words of chat completions. Here it is told in
those of this API, as far as there are any.
"""

import re
from typing import Literal

from msgspec import Struct
from msgspec.json import Encoder

from quantized.core.errors import (
    Fault,
    ImageNotFetched,
    InvalidRequest,
    InvalidValue,
    MissingField,
    RejectedByProvider,
    ResponseNotFound,
    UnknownField,
    UnsupportedParameter,
)
from quantized.surfaces.kinds import KINDS, Kind, kind_of, retry_after
from quantized.surfaces.responses.answers import ErrorBody, ErrorDetail
from quantized.surfaces.surface import ErrorAnswer

_ENCODER = Encoder()


_KINDS = {
    **KINDS,
    UnknownField: Kind(422, "invalid_request_error", "unknown_parameter"),
    ResponseNotFound: Kind(404, "invalid_request_error", "response_not_found"),
}

_PARAMS = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "plugins": "tools",
    "reasoning_effort": "reasoning.effort",
    "tools": "tools",
    "web_search_options": "tools",
}
"""The fields of this API by the first step of a path in the other. What follows that step counts messages
and functions, of which the caller wrote others, so it is left out."""

_WORDS = (
    (re.compile(r"\bmax_(?:completion_)?tokens\b"), "max_output_tokens"),
    (re.compile(r"\breasoning_effort\b"), "reasoning.effort"),
    (re.compile(r"'web_search_options\.(\w+)'"), r"'\1' of the tool 'web_search'"),
    (re.compile(r"'?\bweb_search_options\b'?"), "'web_search' in 'tools'"),
    # The plain word is English, too.
    (
        re.compile(r"\bmessages(?:\[\d*\]|\.\d+)[\w.\[\]]*|(?<=['\"`])messages(?=['\"`])|^messages(?=:)"),
        "input",
    ),
)


class Told(Struct, frozen=True):
    """A fault in the words of this API."""

    message: str
    param: str | None


def told(fault: Fault) -> Told:
    if not isinstance(fault, UnsupportedParameter | RejectedByProvider | ImageNotFetched):
        return Told(fault.message, fault.param)
    message = fault.message
    for theirs, ours in _WORDS:
        message = theirs.sub(ours, message)
    first = re.split(r"[.\[]", fault.param or "", maxsplit=1)[0]
    return Told(message, _PARAMS.get(first, fault.param))


def render_error(fault: Fault) -> ErrorAnswer:
    kind = kind_of(fault, _KINDS)
    said = told(fault)
    detail = ErrorDetail(said.message, kind.type, said.param, fault.code or kind.code)
    return ErrorAnswer(
        status=422 if _is_inside_a_field(fault) else kind.status,
        body=_ENCODER.encode(ErrorBody(detail)),
        retry_after=retry_after(fault),
    )


def failure_code(fault: Fault) -> Literal["server_error", "invalid_prompt"]:
    """What a response that failed says of itself: whether it was the caller's own input."""
    return "invalid_prompt" if isinstance(fault, InvalidRequest) else "server_error"


def _is_inside_a_field(fault: Fault) -> bool:
    path = fault.param or ""
    return isinstance(fault, MissingField | InvalidValue) and ("." in path or "[" in path)
