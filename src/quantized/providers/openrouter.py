"""OpenRouter: a router over many servers, and the default provider.

No attribution headers: they would publish who calls from where. `usage: {include}` is not sent: usage and
cost come without it. The cap goes as `max_tokens`, the name by which endpoints list what they support.
"""

from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.provider import OpenAIChatProvider

NAME = "openrouter"
BASE_URL = "https://openrouter.ai/api/v1"

DIALECT = Dialect(
    developer_role=True,
    reasoning="object",
    reasoning_field="reasoning",
    replays_details=True,
    web_search="plugin",
    cache_control=True,
    require_parameters=True,
)


def openrouter(api_key: str | None, base_url: str = BASE_URL) -> OpenAIChatProvider:
    """Raises ValueError where `base_url` is no http(s) URL."""
    return OpenAIChatProvider(NAME, base_url, api_key, DIALECT)
