"""The built-in provider: a model that needs no account, in the language that everybody speaks."""

from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.provider import OpenAIChatProvider

NAME = "demo"

_DIALECT = Dialect(
    developer_role=True,
    reasoning="object",
    reasoning_field="reasoning",
    replays_details=True,
    cache_control=True,
    refused=("modalities", "audio"),
)


def demo_provider() -> OpenAIChatProvider:
    """To be registered with a DemoUpstream: its address leads nowhere."""
    return OpenAIChatProvider(NAME, "http://demo.invalid/v1", dialect=_DIALECT)
