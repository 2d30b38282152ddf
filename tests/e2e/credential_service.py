"""A container's credential service on a real socket: what it hands out, and whether it answers at all."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bedrock_server_credentials import Identity

TOKEN = "container-authorization-5d41402abc4b2a76"


class CredentialService:
    """Hands out `identity`, good for `seconds`. While `answers` is not set it leaves whoever asks waiting."""

    def __init__(self, identity: Identity, seconds: float) -> None:
        self.identity = identity
        self.seconds = seconds
        self.answers = threading.Event()
        self.answers.set()
        self.asked = 0
        self.wrong: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked += 1
                if self.headers.get("authorization") != TOKEN or self.path != "/role":
                    service.wrong.append(f"{self.path} {self.headers.get('authorization')}")
                service.answers.wait(60)
                body = json.dumps(service.handed_out()).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def environ(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._server.server_address[1]}/role"
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
            # No file of whoever runs the tests is to be found, and no metadata service waited for.
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def handed_out(self) -> dict[str, str]:
        expiry = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return {
            "AccessKeyId": self.identity.access_key,
            "SecretAccessKey": self.identity.secret_key,
            "Token": self.identity.token or "",
            "Expiration": expiry.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }

    def stop(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(50)
