"""What every clock keeps."""

import asyncio
from datetime import UTC, datetime, timedelta

from rollback_guard.adapters.clock import SystemClock


def test_the_wall_clock_is_aware_utc_and_that_of_the_system():
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_the_steady_clock_never_goes_back_and_is_finer_than_a_millisecond():
    clock = SystemClock()
    looks = [clock.elapsed() for _ in range(10_000)]
    assert looks == sorted(looks)
    assert len({look // timedelta(microseconds=100) for look in looks}) > 1


async def test_sleeping_takes_at_least_its_span_on_the_steady_clock():
    clock = SystemClock()
    before = clock.elapsed()
    await clock.sleep(timedelta(milliseconds=30))
    # The loop may wake a timer up to one clock tick early.
    assert clock.elapsed() - before >= timedelta(milliseconds=29)


async def test_a_sleep_of_no_time_lets_others_run():
    order = []
    other = asyncio.create_task(asyncio.sleep(0, order.append("other")))
    await SystemClock().sleep(timedelta(0))
    order.append("sleeper")
    await other
    assert order[-1] == "sleeper"
