"""Which addresses are the machine itself."""

import pytest

from rollback_guard.core.host import is_own, place_of


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "localhost",
        "LocalHost.",
        "shop.localhost",
        "0.0.0.0",
        "::",
        "::1%lo",
    ],
)
def test_the_loopback_is_this_machine_however_it_is_written(host):
    assert is_own(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "prometheus", "localhost.example.org", "2001:db8::1", "mylocalhost", ""])
def test_whatever_else_is_reached_over_a_network(host):
    assert not is_own(host)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://prometheus:9090/x", ("prometheus", 9090)),
        ("https://prometheus", ("prometheus", 443)),
        ("http://[2001:db8::1]", ("2001:db8::1", 80)),
    ],
)
def test_a_url_leads_to_a_host_and_a_port(url, place):
    assert place_of(url) == place
