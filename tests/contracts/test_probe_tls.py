"""What a probe makes of certificates, with real TLS."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from probing import look, not_made, spec_of, value_of
from rollback_guard.wire import Trust
from targets import answer, drips, says, silent, target

SOON = timedelta(days=10)


@pytest.fixture
def authority(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return authority


def serving(authority, *names, **settings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **settings).configure_cert(context)
    return context


def in_days(days):
    return datetime.now(UTC) + timedelta(days=days)


async def probe(context, *, ca_file, speak=None, **settings):
    async with target(speak or says(answer()), context=context) as port:
        return await look(spec_of(f"https://127.0.0.1:{port}/", ca_file=ca_file and str(ca_file), **settings))


async def test_a_valid_certificate_of_the_given_authority_is_fine(authority, tmp_path):
    context = serving(authority, "127.0.0.1", not_after=in_days(11))
    observation = await probe(context, ca_file=tmp_path / "ca.pem", tls_valid_for=SOON)
    assert value_of(observation) == 1.0, observation


async def test_a_certificate_with_too_little_time_left_is_a_breach(authority, tmp_path):
    context = serving(authority, "127.0.0.1", not_after=in_days(9))
    observation = await probe(context, ca_file=tmp_path / "ca.pem", tls_valid_for=SOON)
    assert value_of(observation) == 0.0
    assert observation.detail == "certificate valid for 9d more, expected at least 10d"


@pytest.mark.parametrize(
    ("names", "settings", "words"),
    [
        (["127.0.0.1"], {"not_after": in_days(-1)}, "expired"),
        (["elsewhere.test"], {}, "not valid for '127.0.0.1'"),
    ],
    ids=["expired", "other name"],
)
async def test_an_invalid_certificate_is_a_breach(authority, tmp_path, names, settings, words):
    observation = await probe(serving(authority, *names, **settings), ca_file=tmp_path / "ca.pem")
    assert value_of(observation) == 0.0
    assert "certificate not valid" in observation.detail
    assert words in observation.detail


async def test_a_certificate_of_an_unknown_authority_is_a_breach(authority):
    observation = await probe(serving(authority, "127.0.0.1"), ca_file=None)
    assert value_of(observation) == 0.0
    assert "certificate not valid" in observation.detail


async def test_plain_text_where_tls_is_spoken_is_a_breach(tmp_path, authority):
    observation = await probe(None, ca_file=tmp_path / "ca.pem", speak=drips(answer()))
    assert value_of(observation) == 0.0
    assert observation.detail == "TLS failed: WRONG_VERSION_NUMBER"


@pytest.mark.promise(13)
async def test_a_tls_handshake_that_is_never_answered_ends_at_the_time_out(tmp_path, authority):
    observation = await probe(None, ca_file=tmp_path / "ca.pem", speak=silent, timeout=timedelta(seconds=0.4))
    assert value_of(observation) == 0.0
    assert observation.detail == "no connection within 0.4s"


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_without_its_ca_file_a_probe_is_not_made(tmp_path, authority, content):
    path = tmp_path / "other.pem"
    if content is not None:
        path.write_text(content)
    observation = await probe(serving(authority, "127.0.0.1"), ca_file=path)
    assert "other.pem" in not_made(observation)


async def test_a_ca_file_that_was_renewed_is_read_again(authority, tmp_path):
    path = tmp_path / "ca.pem"
    trust = Trust(path)
    first = trust.context()
    assert trust.context() is first
    renewed = path.read_bytes() + b"\n"
    path.write_bytes(renewed)
    assert trust.context() is not first
