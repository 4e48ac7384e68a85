"""Addresses where clouds keep credentials are not called: in no spelling, by no name, after no redirect."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest

from probing import GENEROUS, look, look_at, not_made, spec_of, value_of
from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.dead_man import DeadMan
from rollback_guard.ports import Call, PermanentError
from rollback_guard.secret import SecretText
from rollback_guard.specs import DeadManSpec
from rollback_guard.wire import Deadline, Network, RefusedAddressError, Resolver
from rollback_guard.wire.network import is_link_local
from targets import answer, says, target

SPELLINGS = [
    "169.254.169.254",
    "169.254.43518",  # the last two numbers as one
    "169.16689662",
    "2852039166",  # all four
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "169.254.170.2",  # containers ask here
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[fe80::1]",
    "[febf::1]",
    "[fd00:ec2::254]",
]


class Scripted(Resolver):
    """Answers each question with the next of its answers."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        super().__init__()
        self.left = list(answers)

    async def resolve(self, host: str, port: int, timeout_s: float) -> tuple[str, ...]:
        return self.left.pop(0)


def network(resolver: Resolver, **settings) -> Network:
    return Network(resolver, None, Deadline(SystemClock(), GENEROUS), **settings)


@pytest.mark.promise(35)
@pytest.mark.parametrize("host", SPELLINGS)
async def test_a_probe_calls_no_metadata_address_in_any_spelling(host):
    said = not_made(await look(spec_of(f"http://{host}/latest/meta-data/")))
    assert "link-local" in said


@pytest.mark.promise(35)
@pytest.mark.parametrize("host", SPELLINGS)
async def test_an_action_calls_no_metadata_address_in_any_spelling(host):
    validated = registry.settings_types()["http"].model_validate({"type": "http", "url": f"http://{host}/"})
    action = registry.build("off", validated, clock=SystemClock(), telemetry=None, directory=Path())
    with pytest.raises(PermanentError, match="link-local"):
        await action.execute(Call(key="k"))


@pytest.mark.promise(35)
async def test_the_dead_mans_switch_calls_no_metadata_address():
    spec = DeadManSpec(url=SecretText("http://169.254.169.254/"), timeout=timedelta(seconds=5))
    assert "link-local" in await DeadMan(spec, SystemClock(), lambda: True)._call()


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    "addresses",
    [("169.254.169.254",), ("127.0.0.1", "169.254.169.254"), ("::1", "fe80::1%lo"), ("::ffff:169.254.0.1",)],
)
async def test_a_name_that_leads_there_is_not_called_at_all(addresses):
    async with target(says(answer())) as port:
        with pytest.raises(RefusedAddressError, match=r"metadata\.test leads to .* link-local"):
            await network(Scripted(addresses)).connect_tcp("metadata.test", port)


@pytest.mark.promise(35)
async def test_the_address_that_was_checked_is_the_one_that_is_called():
    resolver = Scripted(("127.0.0.1",), ("169.254.169.254",))
    async with target(says(answer())) as port:
        stream = await network(resolver).connect_tcp("rebound.test", port)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()
    assert len(resolver.left) == 1


@pytest.mark.promise(35)
async def test_a_redirect_leads_to_no_other_place_and_nothing_is_sent_there():
    asked = []

    async def other(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer())

    async with target(other) as elsewhere:
        for location in (
            "http://169.254.169.254/latest/meta-data/",
            "http://[::ffff:169.254.169.254]/",
            f"http://127.0.0.1:{elsewhere}/",
            f"http://localhost:{elsewhere}/",
            f"//127.0.0.1:{elsewhere}/",
        ):
            redirector = says(answer(302, headers=f"Location: {location}\r\n"))
            observation = await look_at(redirector)
            assert value_of(observation) == 0
            async with target(redirector) as port:
                settings = {"type": "http", "url": f"http://127.0.0.1:{port}/"}
                validated = registry.settings_types()["http"].model_validate(settings)
                action = registry.build("off", validated, clock=SystemClock(), telemetry=None, directory=Path())
                with pytest.raises(PermanentError, match="redirects are not followed"):
                    await action.execute(Call(key="k"))
    assert not asked


async def test_what_is_not_link_local_is_called_and_who_allows_it_calls_all():
    async with target(says(answer())) as port:
        assert value_of(await look(spec_of(f"http://127.0.0.1:{port}/"))) == 1
        assert value_of(await look(spec_of(f"http://2130706433:{port}/"))) == 1  # the loopback as one number
        stream = await network(Scripted(("127.0.0.1",)), allow_link_local=True).connect_tcp("a", port)
        await stream.aclose()
    assert not any(map(is_link_local, ("169.253.255.255", "169.255.0.0", "fec0::1", "::ffff:10.0.0.1", "2002:a9ff::1")))


@pytest.mark.promise(35)
@pytest.mark.parametrize("host", [*SPELLINGS, "0251.0376.0251.0376", "0xa9.254.0xa9fe"])
async def test_what_the_systems_own_resolver_makes_of_a_spelling_is_what_counts(host):
    with pytest.raises(RefusedAddressError):
        await network(Resolver()).connect_tcp(host, 80)


def test_the_systems_resolver_knows_the_spellings():
    numeric = [host for host in SPELLINGS if not host.startswith("[")]
    for host in numeric:
        (address,) = {row[4][0] for row in socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)}
        assert address in {"169.254.169.254", "169.254.170.2"}
