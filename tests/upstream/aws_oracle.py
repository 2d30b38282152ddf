"""What AWS would say to a request's signature: botocore, asked with nothing but what arrived."""

from collections.abc import Iterable

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials


def expected_authorization(
    method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes, secret_key: str
) -> str:
    """The `authorization` that these bytes should carry. Whose it is, for where, and which headers it covers,
    the one that they do carry tells."""
    fields = list(headers)
    carried = dict(fields)["authorization"]
    scheme, _, rest = carried.partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    told = dict(piece.split("=", 1) for piece in rest.split(", "))
    access_key, day, region, service, end = told["Credential"].split("/")
    assert (service, end) == ("bedrock", "aws4_request")
    signed = told["SignedHeaders"].split(";")
    request = AWSRequest(method, url, data=body)
    for name, value in fields:
        if name in signed:
            request.headers.add_header(name, value)
    time = dict(fields)["x-amz-date"]
    assert time.startswith(day)
    request.context["timestamp"] = time
    signer = SigV4Auth(ReadOnlyCredentials(access_key, secret_key, None), service, region)
    covered = signer.headers_to_sign(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={signer.signed_headers(covered)}, Signature={signer.signature(text, request)}"
    )
