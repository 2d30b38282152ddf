"""How the imitated Messages API refuses."""

import json


class ApiError(Exception):
    """One answer other than 200. `kind` is the API's name for it."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message

    @property
    def body(self) -> bytes:
        error = {"type": self.kind, "message": self.message}
        return json.dumps(
            {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
        ).encode()


def invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message)
