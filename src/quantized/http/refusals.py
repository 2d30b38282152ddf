"""What a connection answers to bytes that are no request, and so reach nobody who would answer them."""

from http import HTTPStatus
from typing import NamedTuple

from quantized.http.messages import Headers


class Refusal(NamedTuple):
    """The last that a connection says. There is nobody to ask for another shape than this."""

    status: HTTPStatus
    message: str
    code: str

    def response(self, headers: Headers) -> bytes:
        body = b'{"error":{"message":"%b","type":"invalid_request_error","code":"%b","param":null}}' % (
            self.message.encode(),
            self.code.encode(),
        )
        head = [
            b"HTTP/1.1 %d %b" % (self.status, self.status.phrase.encode()),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"connection: close",
            *(b"%b: %b" % header for header in headers),
        ]
        return b"\r\n".join((*head, b"", body))


MALFORMED = Refusal(HTTPStatus.BAD_REQUEST, "This is not a proper HTTP request", "malformed_request")
TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large", "head_too_large"
)
UPGRADE = Refusal(
    HTTPStatus.BAD_REQUEST,
    "A request with a body cannot ask for another protocol by 'Upgrade'",
    "upgrade_with_body",
)
