"""Make one check for every line of standard input and print what came of it; for tests of what a network does."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from probing import Counts, group_of, spec_of
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.probe import ProbeSource
from rollback_guard.core.observation import Failure


async def main() -> None:
    anchors = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in sys.argv[1:])]
    while line := await asyncio.to_thread(sys.stdin.readline):
        spec = spec_of(line.strip(), timeout=timedelta(milliseconds=700))
        source = ProbeSource({spec.rule: spec}, SystemClock(), Counts(), anchors=anchors)
        observation = (await source.read(group_of("shop"), SystemClock().now(), {}))[spec.rule]
        measured = observation.measured
        if isinstance(measured, Failure):
            print(json.dumps([measured.reason.value, measured.detail]), flush=True)
        else:
            print(json.dumps([measured.samples[0].value, observation.detail]), flush=True)
        await source.close()


if __name__ == "__main__":
    asyncio.run(main())
