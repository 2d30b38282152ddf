"""Where Bedrock is, and where a model is there."""

from urllib.parse import quote

_CHINA = "cn-"


def runtime_url(region: str, endpoint: str | None = None) -> str:
    """The URL before every path, without a slash at its end. `endpoint` takes the place of the region's."""
    if endpoint is not None:
        return endpoint.rstrip("/")
    domain = "amazonaws.com.cn" if region.startswith(_CHINA) else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"


def converse_url(base: str, model: str, *, stream: bool) -> str:
    """`model`: an id, an inference profile's id or an ARN; one segment of the path, whatever is in it.

    Raises ValueError for what cannot be one.
    """
    if model in ("", ".", ".."):
        raise ValueError(f"'{model}' is no model id")
    return f"{base}/model/{quote(model, safe='-._~')}/{'converse-stream' if stream else 'converse'}"
