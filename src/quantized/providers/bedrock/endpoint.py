"""Where Bedrock is, and where a model is there."""

from urllib.parse import quote

_DOMAINS = {
    "cn-": "amazonaws.com.cn",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "us-iso-": "c2s.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "eusc-": "amazonaws.eu",
}
"""Of regions apart, by how their names begin."""


def runtime_url(region: str, endpoint: str | None = None) -> str:
    """The URL before every path, without a slash at its end. `endpoint` takes the place of the region's."""
    if endpoint is not None:
        return endpoint.rstrip("/")
    domain = next((found for area, found in _DOMAINS.items() if region.startswith(area)), "amazonaws.com")
    return f"https://bedrock-runtime.{region}.{domain}"


def converse_url(base: str, model: str, *, stream: bool) -> str:
    """`model`: an id, an inference profile's id or an ARN; one segment of the path, whatever is in it.

    Raises ValueError for what cannot be one.
    """
    if model in ("", ".", ".."):
        raise ValueError(f"'{model}' is no model id")
    return f"{base}/model/{quote(model, safe='-._~')}/{'converse-stream' if stream else 'converse'}"
