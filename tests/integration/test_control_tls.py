"""TLS: what is spoken, what is refused, certificates that change, and handshakes that never end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import Bounds, Certificate, ListenError, Server, create_app
from served import Daemon, serving

AUTHORITY = trustme.CA()


def issue(folder: Path, name: str = "127.0.0.1", authority: trustme.CA = AUTHORITY) -> Certificate:
    issued = authority.issue_cert(name)
    certificate = Certificate(cert_file=folder / "cert.pem", key_file=folder / "key.pem")
    issued.private_key_pem.write_to_path(certificate.key_file)
    certificate.cert_file.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    return certificate


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def client_of(server: Server, **settings) -> httpx.AsyncClient:
    settings.setdefault("verify", trusting())
    return httpx.AsyncClient(base_url=f"https://127.0.0.1:{server.port}", trust_env=False, timeout=30, **settings)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_everything_is_served_over_tls_and_says_to_stay_with_it(version, tmp_path):
    daemon = Daemon()
    async with serving(daemon, certificate=issue(tmp_path)) as server:
        async with client_of(server, verify=trusting(version)) as client:
            for _ in range(3):
                answer = await client.post("/api/v1/pause", json={"reason": "looking"})
                assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            for path in ("/metrics", "/nowhere"):
                assert (await client.get(path)).headers["strict-transport-security"]
        assert len(daemon.asked) == 3


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_what_is_older_than_tls_1_2_is_not_spoken(version, tmp_path):
    context = trusting(version)
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with serving(Daemon(), certificate=issue(tmp_path)) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=context)


async def test_plain_http_is_not_answered_where_tls_is_spoken_and_the_other_way_round(tmp_path):
    daemon = Daemon()
    async with (
        serving(daemon, certificate=issue(tmp_path)) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=30) as plain,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await plain.post("/api/v1/pause", json={"reason": "a"})
    async with serving(daemon) as server:
        async with httpx.AsyncClient(trust_env=False) as plain:
            answer = await plain.get(f"http://127.0.0.1:{server.port}/-/healthy")
        assert "strict-transport-security" not in answer.headers
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting())
    assert not daemon.asked


async def test_a_request_that_comes_together_with_the_end_of_the_handshake_is_answered(tmp_path):
    async with serving(Daemon(), certificate=issue(tmp_path)) as server:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
                tls.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            except ssl.SSLWantReadError:
                pass
            writer.write(outgoing.read())
            if not done:
                incoming.write(await asyncio.wait_for(reader.read(65536), 30))
        said = b""
        while b"goes on" not in said:
            incoming.write(await asyncio.wait_for(reader.read(65536), 30))
            with contextlib.suppress(ssl.SSLWantReadError):
                while part := tls.read():
                    said += part
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.transport.abort()


async def serial(server: Server) -> int:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting())
    certificate = writer.get_extra_info("peercert")
    writer.transport.abort()
    return int(certificate["serialNumber"], 16)


async def test_a_new_certificate_is_shown_to_the_next_client_and_a_broken_one_is_not(tmp_path):
    certificate = issue(tmp_path)
    async with serving(Daemon(), certificate=certificate) as server, client_of(server) as kept:
        assert (await kept.get("/-/healthy")).status_code == 200
        first = await serial(server)
        issue(tmp_path)
        second = await serial(server)
        assert second != first
        with capture_logs() as logs:
            old = certificate.cert_file.read_bytes()
            certificate.cert_file.write_text("nonsense")
            assert [await serial(server) for _ in range(3)] == [second] * 3
            certificate.cert_file.unlink()
            assert [await serial(server) for _ in range(3)] == [second] * 3
            (tmp_path / "other").mkdir()
            certificate.cert_file.write_bytes(issue(tmp_path / "other").cert_file.read_bytes())  # not the key's
            assert await serial(server) == second
        assert [each["event"] for each in logs] == ["certificate_refused"] * 3
        assert logs[-1]["why"] == "key values mismatch"
        certificate.cert_file.write_bytes(old)
        assert await serial(server) == second
        assert (await kept.get("/-/healthy")).status_code == 200


def encrypt(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"password")
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, secret)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.cert_file.unlink(), "No such file or directory"),
        (lambda it: it.key_file.unlink(), "No such file or directory"),
        (lambda it: it.cert_file.write_text("nonsense"), "certificate and key"),
        (lambda it: it.key_file.write_bytes(AUTHORITY.issue_cert("a").private_key_pem.bytes()), "key values mismatch"),
        (lambda it: encrypt(it.key_file), "the key is encrypted"),
    ],
)
def test_a_certificate_that_cannot_be_used_ends_the_start_in_words(change, words, tmp_path):
    certificate = issue(tmp_path)
    change(certificate)
    with pytest.raises(ListenError, match=words):
        Server(create_app(Daemon().view()), host="127.0.0.1", port=0, clock=SystemClock(), certificate=certificate)


async def until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


def hello(port: int) -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = trusting().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.promise(29)
@pytest.mark.parametrize("start", ["nothing", "half", "all"])
async def test_a_handshake_that_does_not_end_is_cut_off_at_the_deadline(start, tmp_path):
    bounds = Bounds(request=timedelta(milliseconds=600))
    async with serving(Daemon(), certificate=issue(tmp_path), bounds=bounds) as server:
        whole = hello(server.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write({"nothing": b"", "half": whole[:50], "all": whole}[start])
        await asyncio.wait_for(until_closed(reader), 20)  # asyncio's own end of a handshake is a minute
        writer.close()
        assert not server._connections()


async def test_the_handshake_counts_as_part_of_the_first_request(tmp_path):
    bounds = Bounds(request=timedelta(seconds=1))
    async with serving(Daemon(), certificate=issue(tmp_path), bounds=bounds) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Never: ")
        await asyncio.wait_for(until_closed(reader), 20)
        writer.close()
        assert not server._connections()


@pytest.mark.promise(29)
async def test_handshakes_that_never_end_do_not_shut_out_the_health_check(tmp_path):
    bounds = Bounds(connections=64, request=timedelta(seconds=60))
    clock = SystemClock()
    async with serving(Daemon(), certificate=issue(tmp_path), bounds=bounds) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(400)]
        try:
            for _ in range(3):
                begun = clock.elapsed()
                async with client_of(server) as client:
                    assert (await client.get("/-/healthy")).status_code == 200
                assert clock.elapsed() - begun < timedelta(seconds=5)
            assert len(server._connections()) <= bounds.connections
        finally:
            for each in silent:
                each.close()


async def test_a_certificate_is_verified_by_those_who_do(tmp_path):
    async with serving(Daemon(), certificate=issue(tmp_path, "other.test")) as server, client_of(server) as client:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await client.get("/-/healthy")


async def test_the_end_waits_for_no_handshake(tmp_path):
    async with serving(Daemon(), certificate=issue(tmp_path), bounds=Bounds(request=timedelta(seconds=60))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with client_of(server) as client:
            await client.get("/-/healthy")
    await asyncio.wait_for(until_closed(reader), 20)
    writer.close()
