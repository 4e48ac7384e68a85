"""What the demo's screen says, from what the guard said."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from rollback_guard.demo.chart import draw
from rollback_guard.demo.plain import Plain
from rollback_guard.demo.screen import render
from rollback_guard.demo.sight import DecisionSight, IncidentSight, IntentSight, RuleSight, Sight, figure
from rollback_guard.demo.view import Timeline, View, Who, forecast

BEGAN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


RULE = RuleSight(
    name="CheckoutErrorRate",
    severity="critical",
    verdict="pass",
    phase="inactive",
    since=None,
    hold=timedelta(seconds=4),
    value=0.0,
    op=">",
    threshold=0.01,
    detail="",
    unknown="",
)
PENDING = replace(RULE, phase="pending", verdict="breach", since=at(10), value=0.31)
FIRING = replace(PENDING, phase="firing", since=at(14))
INTENT = IntentSight(
    action="disable-new-checkout",
    at=at(14),
    outcome="succeeded",
    concluded_at=at(14.02),
    stable_for=timedelta(seconds=3),
    detail="200 OK",
)
INCIDENT = IncidentSight(
    id="shop-1",
    phase="verifying",
    opened_at=at(14),
    rules=("checkout/CheckoutErrorRate",),
    intents=(INTENT,),
    verdict="breach",
    passing_since=None,
    verified_until=at(26),
    ended_at=None,
    decision="",
    reason="",
)
DECISION = DecisionSight(
    at=at(14),
    decision="act",
    reason="breach",
    incident="shop-1",
    action="disable-new-checkout",
    evidence="CheckoutErrorRate: 31.0% > 1.0%",
)
SIGHT = Sight(
    at=at(9),
    ready=True,
    rules=(RULE,),
    playbook=("disable-new-checkout", "rollback-shop"),
    actions_left=4,
    incidents=(),
    decisions=(),
)
VERIFYING = replace(SIGHT, at=at(16), rules=(FIRING,), incidents=(INCIDENT,), decisions=(DECISION,))


@pytest.mark.parametrize(
    ("sight", "now", "expected"),
    [
        (None, 0, "the guard's first complete look at everything"),
        (replace(SIGHT, ready=False), 1, "the guard's first complete look at everything"),
        (replace(SIGHT, rules=(replace(RULE, verdict="unknown"),)), 8, "the first value of CheckoutErrorRate"),
        (SIGHT, 9, "nothing: everything passes"),
        (
            replace(SIGHT, rules=(PENDING,)),
            11,
            "if it goes on, CheckoutErrorRate fires in 3 s, and disable-new-checkout runs",
        ),
        (VERIFYING, 16, "has disable-new-checkout helped? If not, in 10 s: rollback-shop"),
        (
            replace(VERIFYING, incidents=(replace(INCIDENT, passing_since=at(20)),)),
            21,
            "recovered, if CheckoutErrorRate keeps passing for another 2 s",
        ),
        (
            replace(VERIFYING, incidents=(replace(INCIDENT, intents=(replace(INTENT, outcome=""),)),)),
            14,
            "the outcome of disable-new-checkout",
        ),
        (
            replace(
                VERIFYING, incidents=(replace(INCIDENT, intents=(INTENT, replace(INTENT, action="rollback-shop"))),)
            ),
            16,
            "has rollback-shop helped? If not, in 10 s: people are called",
        ),
        (
            replace(VERIFYING, rules=(RULE,), incidents=(replace(INCIDENT, phase="closed"),)),
            30,
            "nothing: everything passes",
        ),
    ],
)
def test_it_says_what_comes_next(sight, now, expected):
    assert forecast(sight, at(now)) == expected


def test_the_timeline_tells_each_thing_once_in_the_order_of_its_time():
    timeline = Timeline()
    timeline.take(SIGHT)
    timeline.take(replace(SIGHT, at=at(10.5), rules=(PENDING,)))
    timeline.take(VERIFYING)
    timeline.take(VERIFYING)
    timeline.did(at(9), "customers bring coupons", "bad")
    timeline.take(replace(VERIFYING, at=at(22), rules=(RULE,)))
    assert [(entry.at, entry.who, entry.text) for entry in timeline.entries()] == [
        (at(9), Who.SHOP, "customers bring coupons"),
        (at(10), Who.RULE, "CheckoutErrorRate pending: 31.0% > 1.0%"),
        (at(14), Who.RULE, "CheckoutErrorRate firing: 31.0% > 1.0%"),
        (at(14), Who.GUARD, "decides act: breach → disable-new-checkout (CheckoutErrorRate: 31.0% > 1.0%)"),
        (at(14.02), Who.GUARD, "disable-new-checkout succeeded in 20 ms: 200 OK"),
        (at(22), Who.RULE, "CheckoutErrorRate passes again"),
    ]


def view(sight, now, **changes):
    timeline = Timeline()
    timeline.take(sight)
    return replace(
        View(began_at=BEGAN, now=at(now), scene="act 1", sight=sight, release="v2", timeline=timeline.entries()),
        **changes,
    )


def drawn(picture, width=100, height=40, **settings):
    console = Console(file=io.StringIO(), width=width, height=height, **settings)
    console.print(render(picture, width=width, height=height))
    return console.file.getvalue()


def test_the_picture_shows_the_progress_of_for_the_chart_and_what_was_done():
    shown = drawn(view(replace(SIGHT, rules=(PENDING,)), 12, errors=(0.0, None, 0.31)))
    assert "pending ████░░░░ 2 of 4 s" in shown
    assert "31.0%" in shown
    assert "> 1.0%" in shown
    shown = drawn(view(VERIFYING, 16, flag_on=False))
    assert "flag new-checkout off · release v2" in shown
    assert "shop-1: verifying" in shown
    assert "decides act: breach → disable-new-checkout" in shown


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (200, 60)])
def test_the_picture_fits_the_terminal(width, height):
    lines = drawn(view(VERIFYING, 16, errors=(0.2,) * 500), width, height).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= max(height, 24)


def test_without_colour_the_states_are_still_words():
    shown = drawn(view(VERIFYING, 16), no_color=True, force_terminal=False)
    assert "\x1b" not in shown
    assert "firing" in shown


def test_the_chart_puts_breaching_columns_above_the_line_and_healthy_ones_below():
    rows = draw((0.0, 0.005, None, 0.5), 0.01, width=6, height=5)
    line = next(row for row in rows if row.label == "1%")
    assert [cell.is_line for cell in line.cells[:2]] == [True, True]
    columns = list(zip(*(row.cells for row in rows), strict=True))
    assert columns[-1][0].text == "█"
    assert columns[-1][0].breaching
    assert not any(cell.breaching for column in columns[:-1] for cell in column)
    assert columns[-2][-1].text == "·"
    assert rows[0].label == "50%"


def test_values_are_said_as_people_say_them():
    assert figure("CheckoutErrorRate", 0.1234) == "12.3%"
    assert figure("CheckoutLatencyP95", 0.25) == "250 ms"
    assert figure("shop-ready", 1.0) == "up"
    assert figure("shop-ready", 0.0) == "down"
    assert figure("PaymentFailures", None) == "-"


def test_line_by_line_nothing_is_told_twice_and_the_state_only_when_it_changes():
    lines = []
    plain = Plain(lines.append)
    picture = view(VERIFYING, 16)
    for _ in range(5):
        plain.show(picture)
    assert sum("disable-new-checkout succeeded" in line for line in lines) == 1
    assert sum("flag on · release v2" in line for line in lines) == 1
    plain.show(replace(picture, now=at(17), flag_on=False))
    assert sum("flag off" in line for line in lines) == 0, "not sooner than two seconds later"
    plain.show(replace(picture, now=at(18), flag_on=False))
    assert sum("flag off" in line for line in lines) == 1
