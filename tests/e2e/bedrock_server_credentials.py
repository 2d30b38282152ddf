"""Whom the imitated Bedrock knows, and how it judges what they show: botocore recomputes every signature."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from anthropic_server_faults import ApiError
from aws_oracle import expected_authorization
from bedrock_server_models import REGION

BEDROCK_KEY = "bedrock-api-key-5d41402abc4b2a76"
_SKEW = timedelta(minutes=5)


class Identity(NamedTuple):
    """`token`: the session's, None for lasting keys."""

    access_key: str
    secret_key: str
    token: str | None = None


STATIC = Identity("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


def check_credentials(
    known: Mapping[str, Identity], expired: set[str], path: str, headers: Mapping[str, str], raw: bytes
) -> str:
    """Who asks: an access key, or "bearer". Raises ApiError."""
    shown = headers.get("authorization", "")
    if shown == f"Bearer {BEDROCK_KEY}":
        return "bearer"
    if not shown.startswith("AWS4-HMAC-SHA256 Credential="):
        raise _refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    told = dict(piece.split("=", 1) for piece in shown.partition(" ")[2].split(", "))
    access_key, day, region, *_ = told["Credential"].split("/")
    identity = known.get(access_key)
    if identity is None or headers.get("x-amz-security-token") != identity.token:
        raise _refused(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    if access_key in expired:
        raise _refused("ExpiredTokenException", "The security token included in the request is expired")
    signed = set(told["SignedHeaders"].split(";"))
    needed = {"host", "x-amz-date", "content-type", *({"x-amz-security-token"} if identity.token else ())}
    url = f"http://{headers['host']}{path}"
    expected = expected_authorization("POST", url, headers.items(), raw, identity.secret_key)
    if shown != expected or region != REGION or needed - signed:
        raise _refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        )
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - at) > _SKEW or not headers["x-amz-date"].startswith(day):
        raise _refused("InvalidSignatureException", f"Signature expired: {headers['x-amz-date']}")
    return access_key


def _refused(kind: str, message: str) -> ApiError:
    return ApiError(403, kind, message)
