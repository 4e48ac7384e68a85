"""The demo's shop: what is wrong with its release v2, and the levers that the guard pulls."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rollback_guard.demo.shop import ShopApi

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
ORDER = {"items": [{"price": 1000, "count": 2}], "currency": "EUR"}
WITH_COUPON = {**ORDER, "coupon": "SPRING"}
IN_YEN = {**ORDER, "currency": "JPY"}


class Shop:
    def __init__(self, home, url):
        self.home = home
        self.client = httpx.Client(base_url=url, timeout=10)

    def sell(self, order):
        return self.client.post("/checkout", json=order)

    def script(self, name, *arguments):
        return subprocess.run(
            [DEMO / name, *arguments],
            env={"PATH": os.environ["PATH"], "SHOP_HOME": str(self.home)},
            capture_output=True,
            text=True,
        )

    def metrics(self):
        families = text_string_to_metric_families(self.client.get("/metrics").text)
        return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


@contextmanager
def open_shop(home, *, release, flag):
    (home / "flags.json").write_text(json.dumps({"new-checkout": flag}))
    (home / "release").write_text(release)
    process = subprocess.Popen(
        [sys.executable, DEMO / "shop.py", "--home", home, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        url = re.search(r"http://\S+", process.stdout.readline())
        shop = Shop(home, url[0])
        with shop.client:
            yield shop
    finally:
        process.terminate()
        assert process.wait() == 0
        watchdog.cancel()
        process.stdout.close()


@pytest.fixture
def shop(tmp_path):
    with open_shop(tmp_path, release="v2", flag=True) as shop:
        yield shop


def test_both_releases_sell_what_most_customers_want(tmp_path):
    for release in ("v1", "v2"):
        with open_shop(tmp_path, release=release, flag=False) as shop:
            assert shop.sell(ORDER).json() == {"paid": 2000, "release": release}
            assert shop.sell(WITH_COUPON).json() == {"paid": 1800, "release": release}


def test_the_new_checkout_cannot_read_coupons_until_its_flag_is_off(shop):
    assert shop.sell(ORDER).status_code == 200
    assert shop.sell(WITH_COUPON).status_code == 500
    answer = shop.client.patch("/flags/new-checkout", json={"enabled": False})
    assert (answer.status_code, answer.json()) == (200, {"flag": "new-checkout", "enabled": False})
    assert shop.sell(WITH_COUPON).json()["paid"] == 1800
    assert json.loads((shop.home / "flags.json").read_text()) == {"new-checkout": False}
    assert shop.client.get("/flags/new-checkout").json()["enabled"] is False


def test_release_v2_cannot_take_yen_whatever_the_flag_says_and_v1_can(shop):
    assert shop.sell(IN_YEN).status_code == 502
    shop.client.patch("/flags/new-checkout", json={"enabled": False})
    assert shop.sell(IN_YEN).status_code == 502
    assert shop.script("at-version.sh", "v1").returncode == 1
    rolled_back = shop.script("rollback.sh", "--to", "v1")
    assert (rolled_back.returncode, rolled_back.stdout) == (0, "the shop serves v1\n")
    assert shop.script("at-version.sh", "v1").returncode == 0
    assert shop.sell(IN_YEN).json() == {"paid": 2000, "release": "v1"}


def test_rolling_back_twice_does_no_harm(shop):
    assert shop.script("rollback.sh", "--to", "v1").returncode == 0
    assert shop.script("rollback.sh", "--to", "v1").returncode == 0
    assert shop.sell(ORDER).json()["release"] == "v1"


def test_a_release_that_is_not_there_is_refused_and_the_shop_goes_on(shop):
    refused = shop.script("rollback.sh", "--to", "v9")
    assert refused.returncode == 1
    assert "there is no release v9" in refused.stderr
    assert shop.sell(ORDER).json()["release"] == "v2"


def test_a_version_that_cannot_be_read_is_neither_yes_nor_no(shop):
    (shop.home / "running").unlink()
    assert shop.script("at-version.sh", "v1").returncode not in {0, 1}


def test_a_release_file_with_nonsense_makes_the_shop_not_ready(shop):
    assert shop.client.get("/health/ready").json()["status"] == "ok"
    (shop.home / "release").write_text("../../etc/passwd")
    for _ in range(1000):
        answer = shop.client.get("/health/ready")
        if answer.status_code == 503:
            break
    assert answer.json()["status"] == "not ready"
    assert shop.sell(ORDER).json()["release"] == "v2"


def test_the_metrics_count_what_was_sold_and_what_was_not(shop):
    for order in (ORDER, ORDER, WITH_COUPON, IN_YEN):
        shop.sell(order)
    found = shop.metrics()
    count = "shop_http_requests_total"
    assert found[count, ("code", "200"), ("path", "/checkout")] == 2
    assert found[count, ("code", "500"), ("path", "/checkout")] == 1
    assert found[count, ("code", "502"), ("path", "/checkout")] == 1
    assert found["shop_payments_total", ("result", "ok")] == 2
    assert found["shop_payments_total", ("result", "failed")] == 1
    assert found["shop_http_request_duration_seconds_count", ("path", "/checkout")] == 4
    assert found["shop_flag_enabled", ("flag", "new-checkout")] == 1
    api = ShopApi(str(shop.client.base_url))
    assert api.orders() == (4, 2)
    api.close()


def test_hostile_requests_are_refused_and_the_shop_goes_on(shop):
    assert shop.client.post("/checkout", content=b"{").status_code == 400
    assert shop.client.post("/checkout", content=b"[1]").status_code == 400
    assert shop.client.post("/checkout", content=b"x" * 100_000).status_code == 400
    assert shop.client.patch("/flags/new-checkout", json={"enabled": "no"}).status_code == 400
    assert shop.client.patch("/flags/other", json={"enabled": False}).status_code == 400
    assert shop.client.get("/elsewhere").status_code == 404
    assert shop.sell({}).status_code == 500
    assert shop.sell(ORDER).status_code == 200


def test_prometheus_accepts_the_demos_configuration():
    checked = subprocess.run(["promtool", "check", "config", DEMO / "prometheus.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
