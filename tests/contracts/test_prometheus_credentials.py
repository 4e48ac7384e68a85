"""Credentials reach the server, are read anew for each request, and are never shown."""

import base64
import ssl

import pytest
import trustme

from contracts.asking import read, rule, source
from contracts.prometheus_server import FaultyServer, healthy
from rollback_guard.core.observation import Answer, Unknown
from rollback_guard.secret import SecretText

RULE = rule("r", "up")
CANARY = "canary-4f1d-secret"


async def test_a_bearer_token_is_read_anew_for_each_request(tmp_path):
    token = tmp_path / "token"
    with FaultyServer(healthy()) as server:
        async with source(server.url, bearer_token=SecretText(f"${{file:{token}}}")) as made:
            for value in ("first-token", "second-token"):
                token.write_text(value + "\n")
                await read(made, RULE)
    assert [each.headers["authorization"] for each in server.requests] == ["Bearer first-token", "Bearer second-token"]


async def test_basic_auth_and_headers_are_sent(monkeypatch):
    monkeypatch.setenv("TENANT", "tenant-7")
    with FaultyServer(healthy()) as server:
        async with source(
            server.url,
            basic_auth=("guard", SecretText("päss:word")),
            headers=(("X-Scope-OrgID", SecretText("${env:TENANT}")),),
        ) as made:
            await read(made, RULE)
    (request,) = server.requests
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() == "guard:päss:word"
    assert request.headers["x-scope-orgid"] == "tenant-7"


async def test_a_netrc_file_does_not_replace_the_credentials(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultyServer(healthy()) as server:
        async with source(server.url, bearer_token=SecretText("mine-and-only"), trust_env=True) as made:
            await read(made, RULE)
    assert server.requests[0].headers["authorization"] == "Bearer mine-and-only"


async def test_a_missing_secret_is_blindness_that_names_the_reference_and_asks_nothing(tmp_path):
    with FaultyServer(healthy()) as server:
        async with source(server.url, bearer_token=SecretText(f"${{file:{tmp_path}/gone}}")) as made:
            measured = (await read(made, RULE, rule("s", "down")))["r"].measured
    assert measured.reason is Unknown.CONNECT
    assert f"{tmp_path}/gone" in measured.detail
    assert server.requests == []


@pytest.mark.parametrize("as_basic", [False, True])
@pytest.mark.parametrize("status", [200, 401, 422])
async def test_a_secret_that_a_server_repeats_is_masked(as_basic, status, tmp_path):
    (tmp_path / "secret").write_text(CANARY)
    secret = SecretText(f"${{file:{tmp_path}/secret}}")
    auth = {"basic_auth": ("guard", secret)} if as_basic else {"bearer_token": secret}
    with FaultyServer(
        lambda talk, request: talk.say(
            {"status": "error", "errorType": "execution", "error": f"who is {request.headers['authorization']}?"}
            if status != 401
            else f"no such user: {request.headers['authorization']}",
            status=status,
        )
    ) as server:
        async with source(server.url, **auth) as made:
            detail = (await read(made, RULE))["r"].measured.detail
    assert "<secret>" in detail
    assert CANARY not in detail
    assert base64.b64encode(f"guard:{CANARY}".encode()).decode() not in detail


async def test_a_secret_that_is_no_header_value_is_not_shown(tmp_path):
    (tmp_path / "secret").write_text(f"{CANARY}\nsecond line")
    with FaultyServer(healthy()) as server:
        async with source(server.url, bearer_token=SecretText(f"${{file:{tmp_path}/secret}}")) as made:
            measured = (await read(made, RULE))["r"].measured
    assert measured.reason is Unknown.CONNECT
    assert CANARY not in measured.detail
    assert server.requests == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ca")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    mine = authority.issue_cert("guard.internal")
    mine.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
    mine.private_key_pem.write_to_path(str(directory / "key.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return directory, context


async def test_a_client_certificate_is_shown_and_the_servers_is_checked(authority):
    directory, context = authority
    files = {
        name: str(directory / f"{name.removesuffix('_file')}.pem") for name in ("ca_file", "cert_file", "key_file")
    }
    with FaultyServer(healthy(), tls=context) as server:
        async with source(server.url, **files) as made:
            for _ in range(2):
                assert isinstance((await read(made, RULE))["r"].measured, Answer)
        async with source(server.url, **{**files, "ca_file": None}) as made:
            measured = (await read(made, RULE))["r"].measured
            assert measured.reason is Unknown.CONNECT
            assert "the certificate is not trusted" in measured.detail
        async with source(server.url, ca_file=files["ca_file"]) as made:
            assert (await read(made, RULE))["r"].measured.reason is Unknown.CONNECT
    assert len(server.requests) == 2


async def test_a_certificate_file_that_is_missing_is_named(authority):
    directory, context = authority
    with FaultyServer(healthy(), tls=context) as server:
        async with source(server.url, ca_file=str(directory / "gone.pem")) as made:
            measured = (await read(made, RULE))["r"].measured
    assert measured.reason is Unknown.CONNECT
    assert "gone.pem" in measured.detail
