"""Channels that hang, drip and refuse tell nobody anything, and hold up nothing."""

from __future__ import annotations

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import probe, target, write_commands
from loopback import free_port
from rollback_guard.core.records import IncidentEnded

BAD = ("silent", "dripping", "apprise")


@pytest.mark.promise(41)
async def test_channels_that_hang_delay_neither_the_action_nor_the_channel_that_works(tmp_path):
    with target() as services, Guard(tmp_path) as guard:
        write_commands(tmp_path)
        services.plan("/told/silent", "hang")
        services.plan("/told/dripping", "drip")
        services.plan("/told/apprise", "hang")
        (tmp_path / "apprise.url").write_text(f"{services.url.replace('http', 'json')}/told/apprise")
        guard.configure(
            services.action("mend", cures="shop")
            + services.webhook("silent")
            + services.webhook("dripping")
            + services.webhook("people")
            + f'\n[notify.apprise]\nurl_file = "apprise.url"\n[notify.nobody]\ntype = "webhook"\nurl = "http://127.0.0.1:{free_port()}/"\n',
            {
                "probes": [probe(services, "shop")],
                "guards": [
                    {
                        "guard": "shop",
                        "select": {"service": "shop"},
                        "notify": {"critical": [*BAD, "nobody", "people"]},
                        "playbook": [
                            # Nothing is done before everybody was told; that is not the same as having heard it.
                            {"notify": [*BAD, "nobody"], "verify": {"within": "4s", "stable_for": "1s"}},
                            {"action": "mend", "verify": {"within": "1m", "stable_for": "1s"}},
                        ],
                    }
                ],
            },
        )
        guard.start()
        wait_for(lambda: [each["phase"] for each in guard.incidents()] == ["closed"], "the recovery", log=guard.log)
        wait_for(lambda: "recovered" in {each["kind"] for each in services.told()}, "people to know", log=guard.log)
        letters = guard.letters()
        guard.kill()  # a stop would wait for the letters that are under way

        order = [what if kind == "asked" else kind for kind, what, _ in services.seen()]
        for channel in BAD:
            assert order.index(f"/told/{channel}") < order.index("effect"), f"{channel} was asked before the action"
        assert {ended for _, channel, _, ended in letters if channel != "people"} == {None}, "they still hang"
        assert services.steps() == ["mend"]
        assert [each.reason for each in await guard.records() if isinstance(each, IncidentEnded)] == ["verified"]
        figures.add(faults_injected=len(BAD) + 1)
