"""Addresses and what may be sent to them."""

import pytest

from rollback_guard.secret import SecretText
from rollback_guard.specs import Endpoint

PRODUCTION = Endpoint(
    name="prometheus", url="https://prometheus.internal/api", bearer_token=SecretText("s3cret"), ca_file="ca.pem"
)


@pytest.mark.parametrize("url", ["https://prometheus.internal", "https://prometheus.internal/other/path"])
def test_credentials_go_to_the_server_that_they_are_of(url):
    there = PRODUCTION.at(url)
    assert (there.url, there.bearer_token) == (url, PRODUCTION.bearer_token)


@pytest.mark.parametrize(
    "url", ["http://prometheus.internal", "https://prometheus.internal:9090", "https://prometheus.example"]
)
def test_credentials_go_nowhere_else(url):
    there = PRODUCTION.at(url)
    assert (there.url, there.bearer_token, there.ca_file) == (url, None, None)
