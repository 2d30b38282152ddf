"""What servers say when they will not answer, made fit for whoever reads it: the caller, and the log."""

import re
from collections.abc import Mapping

_LONGEST_MESSAGE = 500
_LONGEST_REASON = 200

_SECRETS = re.compile(
    r"\b(sk|pk|rk|key|org|proj|user|asst|wrkspc)[-_][A-Za-z0-9*._-]{6,}|\bBearer\s+\S+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bABSK[A-Za-z0-9+/=]{12,}",
    re.IGNORECASE,
)
_INTERNALS = re.compile(
    r"\b(?:https?|s3)://\S+"
    r"|\b(?:user|role|assumed-role)/[\w+=,.@/-]+"
    r"|\b(?:i|vpce|vpc|subnet|eni|sg)-[0-9a-f]{4,}(?:-[0-9a-z]+)*\b"
    r"|\b(?:us|eu|ap|ca|sa|me|af|il|mx)(?:-gov|-iso[a-f]?)?-(?:north|south|east|west|central)[a-z]*-\d\b"
    r"|\barn:[a-z-]+:[^\s'\"`,;)\]]*|\b\d{12}\b"
    r"|\b(?:www\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:ai|com|net|org|io|dev|local|internal)\b(?:/\S*)?"
    r"|\b(?:req|request|gen|chatcmpl|trace)[-_][A-Za-z0-9_-]{6,}"
    r"|\(?\b(?:request|trace|generation)[ _-]?id:?\s*['\"]?[\w-]{6,}['\"]?\)?"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b",
    re.IGNORECASE,
)
_NAME = (
    r"(?:open ?router|open ?ai|azure|anthropic|google(?: ai studio| vertex)?|vertex(?: ai)?|bedrock|amazon"
    r"|aws|deep ?infra|together(?: ai)?|fireworks|groq|cerebras|mistral(?: ai)?|novita|nebius|hyperbolic"
    r"|lambda|ollama|vllm|llama\.cpp|lm studio|litellm|cloudflare|cohere|xai|perplexity)"
)
_NAMES = re.compile(rf"\b{_NAME}(?: {_NAME})*\b", re.IGNORECASE)
"""Several in a row are one: Azure OpenAI, Amazon Bedrock."""

_QUOTED = re.compile(r"[\"`“”„«‹<{\[=\r\n]|(?<!\w)['‘’‚]|['’](?!\w)")
"""Where a quotation begins, or what stands there like one: `raw=`, an object, a page. No apostrophe."""


def clean(message: str) -> str:
    """A server's sentence without its names, addresses, ids and secrets; at most 500 characters."""
    message = _SECRETS.sub("…", message[: 4 * _LONGEST_MESSAGE])
    message = _NAMES.sub("the provider", _INTERNALS.sub("…", message))
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 1] + "…"
    return message or "The provider rejected the request"


def for_log(sentence: str) -> str:
    """The beginning of a sentence without secrets, on one line; at most 200 characters."""
    return " ".join(_SECRETS.sub("…", sentence[: 2 * _LONGEST_REASON]).split())[:_LONGEST_REASON]


def reason_for_log(sentence: str) -> str:
    """The same of a server's sentence, up to where it quotes anything: that may be of a conversation."""
    return for_log(_QUOTED.split(sentence[: 2 * _LONGEST_REASON], maxsplit=1)[0]).rstrip(" :,(")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds. A date in `Retry-After` is left unread: to turn it into a wait takes a clock."""
    for name, unit in (("retry-after-ms", 1_000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None
