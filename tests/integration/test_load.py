"""Two hundred guards that break at once: nothing is done, people hear of it once, and the daemon stays what it is."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from build import a_guard, a_policy
from chaos.world import wait_for
from integration.test_daemon import Daemon
from real_prometheus import RealPrometheus
from rollback_guard.app.takers import Takers
from storms import CALLED_LATER, CHANNELS, Shop, settings, write_rules

GUARDS, RULES = 200, 10
ALONE = 3
"""Guards that break before it can be known that more will follow: the default of `[limits] storm`."""

CONFIG = """
[guard]
name = "load-test"
rules = ["rules/*.yaml"]
state = "state/guard.db"
[prometheus]
url = "{prometheus}"
[server]
listen = "127.0.0.1:{port}"
[log]
level = "warning"
{settings}
"""

WITHIN_S = 180
MOST_BYTES = 250_000_000
"""With two thousand firing rules it takes about 90 MB; what grows with every slot would soon be beyond this."""


class Fleet(Daemon):
    """A daemon with many guards over one gauge."""

    def __init__(self, home: Path, prometheus: str, shop: Shop) -> None:
        super().__init__(home, prometheus)
        config = CONFIG.format(prometheus=prometheus, port=self.port, settings=settings(shop))
        (home / "guard.toml").write_text(config)
        (home / "rules" / "shop.yaml").unlink()
        escalate = [{"after": "8s", "notify": [CALLED_LATER]}]
        write_rules(home / "rules", guards=GUARDS, rules=RULES, interval="5s", escalate=escalate)

    def total(self, metric: str) -> float:
        lines = self.get("/metrics")[1].splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].partition("{")[0] == metric
        )

    def wait_for_incidents(self, count: int) -> None:
        wait_for(
            lambda: self.total("rollback_guard_incidents_open") >= count,
            f"{count} incidents",
            within_s=WITHIN_S,
            log=self.log,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    """A storm in whose middle the daemon is killed, while nobody takes messages; afterwards they are taken."""
    with (
        Shop() as shop,
        RealPrometheus(tmp_path_factory.mktemp("prometheus"), targets=[shop.target]) as prometheus,
        Fleet(tmp_path_factory.mktemp("fleet"), prometheus.url, shop) as fleet,
    ):
        fleet.began_with = psutil.Process(fleet.process.pid).memory_info().rss
        shop.level, shop.is_deaf = 1.0, True
        fleet.wait_for_incidents(GUARDS // 4)
        wait_for(lambda: shop.refused, "a message that nobody takes", log=fleet.log)
        fleet.kill()
        shop.is_deaf = False
        fleet.start()
        fleet.wait_for_incidents(GUARDS)
        for channel in (*CHANNELS, CALLED_LATER):
            wait_for(lambda: shop.messages[channel], f"{channel} to be told", within_s=WITHIN_S, log=fleet.log)  # noqa: B023
        wait_for(lambda: all(shop.storms(channel) for channel in CHANNELS), "the storm to be told", within_s=WITHIN_S)
        wait_for(
            lambda: fleet.total("rollback_guard_outbox_letters") == 0,
            "all to be told",
            within_s=WITHIN_S,
            log=fleet.log,
        )
        yield fleet, shop


@pytest.mark.promise(21)
def test_nothing_is_done_where_two_hundred_guards_break_at_once(storm):
    fleet, shop = storm
    assert shop.effects == []
    assert fleet.total("rollback_guard_storm_brake_active") == 1
    assert fleet.total("rollback_guard_incidents_open") == GUARDS


def test_each_channel_hears_of_the_storm_once_and_not_once_per_guard(storm):
    _, shop = storm
    for channel in CHANNELS:
        assert len({each["id"] for each in shop.storms(channel)}) == 1, [m["title"] for m in shop.messages[channel]]
        told = shop.told(channel)
        assert told["opened"] <= ALONE, told
        assert told.total() <= 6 * ALONE, told


def test_an_escalation_calls_once_for_all_guards_of_a_storm(storm):
    _, shop = storm
    told = shop.told(CALLED_LATER)
    assert 1 <= told["escalated"] <= ALONE + 1, told


@pytest.mark.promise(40)
def test_what_was_to_be_told_when_the_daemon_was_killed_is_told_afterwards(storm):
    _, shop = storm
    for channel in CHANNELS:
        assert shop.told(channel)["opened"] == ALONE, shop.told(channel)


def test_everything_can_be_looked_at_in_a_storm_and_memory_stays_bounded(storm):
    fleet, _ = storm
    for path in ("/metrics", "/api/v1/status", "/api/v1/rules", "/api/v1/guards", "/"):
        assert fleet.get(path)[0] == 200, path
    assert fleet.began_with < MOST_BYTES
    assert psutil.Process(fleet.process.pid).memory_info().rss < MOST_BYTES


NOT_NEEDED = ("promql_parser", "rollback_guard.config", "yaml", "jinja2", "apprise", "charset_normalizer", "rich")
"""What takes megabytes and only the child that reads the files needs, or a rare request, or nobody."""


def test_a_daemon_does_not_load_what_it_does_not_need():
    script = (
        "import sys\n"
        "sys.modules['rich'] = None\n"  # development has it, and structlog takes it where it is; production has not
        "import rollback_guard.app\n"
        f"print(*(name for name in {NOT_NEEDED} if sys.modules.get(name) is not None))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr.strip(), done.returncode) == ("", "", 0)


def test_an_alert_finds_the_guards_that_name_it_and_whose_labels_it_has():
    plain = a_guard(name="plain", select=(("service", "shop"),), signals=("Down", "Slow", "Down"))
    narrow = replace(plain, name="narrow", select=(("service", "shop"), ("zone", "a")))
    deaf = replace(plain, name="deaf", signals=())
    takers = Takers(a_policy([], [plain, narrow, deaf]))
    shop = {"alertname": "Down", "service": "shop"}
    assert list(takers.of(shop)) == ["plain"]
    assert list(takers.of({**shop, "zone": "a"})) == ["plain", "narrow"]
    assert list(takers.of({**shop, "alertname": "Other"})) == []
    assert list(takers.of({"service": "shop"})) == []
