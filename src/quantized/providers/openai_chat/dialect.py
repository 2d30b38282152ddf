"""How one server of the language differs from another: a row of configuration, no code."""

from typing import Literal

from msgspec import Struct


class Dialect(Struct, frozen=True):
    """The defaults fit servers that offer the common core of the language and no more.

    `cap_required`: the server demands a cap on the output tokens of every request.
    `developer_role`: the server knows the role; else it reads `system`, which means the same.
    `reasoning`: how the wish to reason is put: as a `reasoning` object, as `reasoning_effort`, or not at all.
    `stream_usage`: a stream is asked for its usage, by `stream_options`.
    `reasoning_field`: what the server calls the text of an assistant's own reasoning, which goes back to it
    by that name; None for one that does not take it, which gets the rest of the turn. With
    `replays_details` its `reasoning_details` go back as well.
    `unsigned_calls`: a JSON object that stands as `extra_content` beside the first of a message's calls where
    nothing is known that the server put beside any of them.
    `web_search`: as a plugin that searches once a request, as `web_search_options`, or not at all.
    `cache_control`: the server reads cache marks.
    `require_parameters`: the server routes on, and is asked not to choose an endpoint that would ignore a
    parameter of the caller's.
    `refused`: names of further body fields that the server cannot honour.
    `headers`: fixed headers of every request, names in lower case.
    """

    output_cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    cap_required: bool = False
    developer_role: bool = False
    reasoning: Literal["object", "effort", "none"] = "effort"
    stream_usage: bool = True
    reasoning_field: Literal["reasoning", "reasoning_content"] | None = None
    replays_details: bool = False
    unsigned_calls: str | None = None
    web_search: Literal["plugin", "options", "none"] = "none"
    cache_control: bool = False
    require_parameters: bool = False
    refused: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
