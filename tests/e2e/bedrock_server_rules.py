"""The rules of Converse, as strictly as the API has them: those of its shapes by botocore's own model, and
those of each family of models."""

import re
from typing import Any

from anthropic_server_faults import ApiError
from anthropic_server_models import ServedModel
from anthropic_server_rules import check_rules
from bedrock_server_messages import Json, as_messages
from bedrock_server_models import Model, served
from converse_oracle import check as check_shape

_DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9()\[\]-]+(?:\s[a-zA-Z0-9()\[\]-]+)*")


def invalid(message: str) -> ApiError:
    return ApiError(400, "ValidationException", message)


def check(body: Json, model_id: str, *, stream: bool) -> tuple[Model, Json]:
    """(the model, the request in its own words). Raises ApiError."""
    try:
        check_shape(body, model_id, stream=stream)
    except AssertionError as error:
        raise invalid(f"Malformed input request: {error}") from None
    found = served(model_id)
    if found is None:
        raise invalid("The provided model identifier is invalid.")
    own, model = found
    _check_abilities(body, model, stream=stream)
    _check_extras(body.get("additionalModelRequestFields", {}), model)
    for block in _content(body):
        _check_block(block, model)
    asked = as_messages(body, own, model)
    try:
        check_rules(asked, _for_rules(asked, model))
    except ApiError as error:
        raise invalid(f"The model returned the following errors: {error.message}") from None
    return model, asked


def _for_rules(asked: Json, model: Model) -> ServedModel:
    """Of other families the rules that are Claude's alone do not hold."""
    rules = model.rules
    return rules if model.family == "anthropic" else rules._replace(bound=False, one_sampler=False)


def _content(body: Json) -> list[Json]:
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    inner = [one for block in blocks if "toolResult" in block for one in block["toolResult"]["content"]]
    return [*blocks, *inner]


def _check_abilities(body: Json, model: Model, *, stream: bool) -> None:
    choice = next(iter(body.get("toolConfig", {}).get("toolChoice", {})), "auto")
    asked = {
        "system messages": "system" in body and not model.system,
        "tool use": "toolConfig" in body and not model.tools,
        "tool use in streaming mode": stream and "toolConfig" in body and not model.streams_tools,
        f"toolConfig.toolChoice.{choice}": choice not in ("auto", *model.choices),
        "the stopSequences field": "stopSequences" in body.get("inferenceConfig", {}) and not model.stops,
        "structured output": "textFormat" in body.get("outputConfig", {}) and not model.rules.schemas,
        "effort": "effort" in body.get("outputConfig", {}) and not model.rules.efforts,
    }
    for what, is_asked in asked.items():
        if is_asked:
            raise invalid(f"This model doesn't support {what}.")
    for field in ("toolConfig", "system", "messages"):
        for ttl in _points(body.get(field)):
            if ttl not in model.caches:
                raise invalid(
                    "You invoked an unsupported model or your request did not allow prompt caching."
                )


def _points(value: Any) -> list[str]:
    match value:
        case {"cachePoint": point}:
            return [point.get("ttl", "5m")]
        case dict():
            return [ttl for inner in value.values() for ttl in _points(inner)]
        case list():
            return [ttl for inner in value for ttl in _points(inner)]
    return []


def _check_extras(told: Json, model: Model) -> None:
    known = {*model.extras, *(model.top_k or ())[:1]}
    if unknown := told.keys() - known:
        raise invalid(f"Malformed input request: extraneous key [{min(unknown)}] is not permitted")
    config = told.get("reasoningConfig")
    if config is not None:
        if config.get("type") == "enabled" and config.get("maxReasoningEffort") not in model.rules.efforts:
            raise invalid("reasoningConfig.maxReasoningEffort is invalid")
        if config.keys() - {"type", "maxReasoningEffort"}:
            raise invalid("reasoningConfig has an extraneous key")
    if told.get("reasoning_effort", "low") not in ("low", "medium", "high"):
        raise invalid("reasoning_effort is invalid")


def _check_block(block: Json, model: Model) -> None:
    match block:
        case {"reasoningContent": {"reasoningText": reasoning}} if model.family != "anthropic":
            raise invalid(f"This model doesn't support the reasoningContent field: {reasoning}")
        case {"reasoningContent": {"reasoningText": {"signature": _}}}:
            pass
        case {"reasoningContent": {"redactedContent": _}} if model.family == "anthropic":
            pass
        case {"reasoningContent": _}:
            raise invalid("reasoningContent.reasoningText.signature: Field required")
        case {"image": _} if not model.images:
            raise invalid("This model doesn't support the image content block that you provided.")
        case {"document": document}:
            if not model.documents:
                raise invalid("This model doesn't support documents.")
            if not _DOCUMENT_NAME.fullmatch(document["name"]):
                raise invalid("The document file name can only contain alphanumeric characters, …")
        case {"toolResult": {"content": content}} if model.results != "any":
            if any(model.results not in one for one in content):
                raise invalid(f"This model doesn't support tool results other than {model.results}.")
