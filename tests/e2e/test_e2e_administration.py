"""A gateway's administration beside its models: one port, two kinds of keys, neither good for the other."""

from collections.abc import Callable

from gateway_process import GatewayProcess, eventually
from plain_http import HTTP

QUESTION = {"model": "quantized/demo", "messages": [{"role": "user", "content": "Hi"}]}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_what_is_administered_counts_for_requests(make_gateway: Callable[[str], GatewayProcess]) -> None:
    gateway = make_gateway("")
    gateway.start()
    admin = gateway.cli("admin-key", "create", "--name", "n")["admin_key"]
    api = f"{gateway.url}/admin/v1"
    assert HTTP.get(f"{api}/self", headers=bearer(admin)).json()["role"] == "operator"
    made = HTTP.post(f"{api}/licenses", headers=bearer(admin), json={"license_type": "home/standard"}).json()
    grant = {"micro_credits": 5_000_000, "reason": "to begin with"}
    booked = HTTP.post(
        f"{api}/licenses/{made['license_id']}/credits/grants", headers=bearer(admin), json=grant
    )
    assert booked.status_code == 201
    key = HTTP.post(f"{api}/keys", headers=bearer(admin), json={"license": made["license_id"]}).json()

    chat = f"{gateway.url}/v1/chat/completions"
    answer = HTTP.post(chat, headers=bearer(key["api_key"]), json=QUESTION)
    assert answer.status_code == 200
    rows = HTTP.get(f"{api}/usage/requests", headers=bearer(admin), params={"license": made["license_id"]})
    assert [row["request_id"] for row in rows.json()["data"]] == [answer.headers["x-request-id"]]

    assert HTTP.post(chat, headers=bearer(admin), json=QUESTION).status_code == 401
    assert HTTP.get(f"{api}/self", headers=bearer(key["api_key"])).status_code == 401
    HTTP.patch(f"{api}/keys/{key['key_id']}", headers=bearer(admin), json={"active": False})
    eventually(lambda: HTTP.post(chat, headers=bearer(key["api_key"]), json=QUESTION).status_code == 401)
    assert admin not in gateway.log_path.read_text()
    assert key["api_key"] not in gateway.log_path.read_text()


def test_a_gateway_may_do_without(make_gateway: Callable[[str], GatewayProcess]) -> None:
    gateway = make_gateway("admin_api = false")
    gateway.start()
    admin = gateway.cli("admin-key", "create", "--name", "n")["admin_key"]
    for path in ("/admin/v1/self", "/admin/v1/openapi.json", "/docs/admin"):
        assert HTTP.get(f"{gateway.url}{path}", headers=bearer(admin)).status_code == 404
