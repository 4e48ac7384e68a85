"""An incident's story: everything that was recorded is told, in words that need no manual."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from incidents import (
    BLIND,
    BREACH,
    CLEARED,
    DOWN,
    FINE,
    HANDED_OVER,
    ID,
    OPENED,
    RECOVERED,
    RULE,
    after,
    concluded,
    decided,
    ended,
    intended,
    watched,
)
from rollback_guard.core import wording
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Mode, Phase, Verdict
from rollback_guard.core.observation import Unknown
from rollback_guard.core.records import (
    ClockStepped,
    Configured,
    Decision,
    Evaluated,
    IncidentJoined,
    Intended,
    Outcome,
    Reason,
    Rewound,
    Sight,
    Started,
    Stopped,
    Transition,
)
from rollback_guard.core.story import tell


def printed(records) -> str:
    lines = []
    for line in tell(records):
        lines.append(f"{line.at:%H:%M:%S} {wording.offset(line.offset):>8}  {line.text}")
        lines.extend(f"{'':19}{note}" for note in line.notes)
    return "\n".join(lines)


def test_a_step_that_may_leave_nothing_to_judge_says_so():
    told = [replace(each, idle_passes=True) if isinstance(each, Intended) else each for each in RECOVERED]
    lines = printed(told).splitlines()
    goal = "It has helped if the rules pass, or have nothing left to judge, for 1m, within 3m after it is done."
    assert goal in map(str.strip, lines)
    assert any(
        line.endswith("The rules pass, or have nothing left to judge; recovered if they do so for 1m.")
        for line in lines
    )


def test_a_recovery_reads_as_a_story():
    assert (
        printed(RECOVERED)
        == """\
09:50:00      +0s  The first breach: CheckoutErrorRate.
10:00:00     +10m  Guard checkout opened incident checkout-20260301T100000Z: the breach had lasted for 10m.
10:00:00     +10m  Decided to run step 1, disable-new-checkout: a critical rule fires.
                   CheckoutErrorRate{code="500"} is 0.01824, above 0.01
                   checkout-ready: HTTP 503, expected 200
10:00:00     +10m  Began step 1, disable-new-checkout.
                   Goal: PATCH https://flags.internal/api/flags/new-checkout
                   It has helped if the rules pass for 1m, within 3m after it is done.
10:00:01   +10m1s  disable-new-checkout succeeded at the first attempt in 1.2s; now its effect is watched.
                   HTTP 200
10:01:00     +11m  The rules pass; recovered if they do so for 1m.
10:02:00     +12m  Recovered: after the action the rules have passed for as long as was asked.
                   CheckoutErrorRate{code="500"} is 0.0004, not above 0.01
10:02:00     +12m  The incident is over, 12m after the first breach."""
    )


def test_a_hand_over_says_what_failed_and_what_people_have_to_do():
    story = printed(HANDED_OVER)
    assert "disable-new-checkout failed for good after 3 attempts in 2s." in story
    assert "HTTP 401, expected 200" in story
    assert "Decided to run step 2, rollback-checkout: the step before failed for good." in story
    assert "It cannot be told whether rollback-checkout had its effect, at the first attempt in 1m58s." in story
    assert "Handed over to people: it cannot be told whether the action had its effect" in story
    assert (
        "Find out whether rollback-checkout reached its goal (deploy/at-version.sh 41). The guard will not repeat it."
        in story
    )
    assert story.endswith("Not closed yet: the rules have not all passed again.")
    assert printed((*HANDED_OVER, CLEARED)).endswith("a new breach opens a new one.")


def test_an_incident_that_was_opened_blindly_does_not_claim_a_breach():
    records = (OPENED, decided(Decision.ACT, Reason.BLIND, after(minutes=10), BLIND, step=0))
    story = printed(records)
    assert "Nothing is known any more of CheckoutErrorRate." in story
    assert "it was blind for too long, and is told to act." in story
    assert "CheckoutErrorRate: nothing is known (connect: connection refused)" in story
    assert "breach" not in story.replace("BREACH", "")


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("decision", Decision)
def test_every_decision_and_reason_has_a_sentence(decision, reason):
    (line, *_) = tell([decided(decision, reason, after(), step=0 if decision is Decision.ACT else None)])
    assert line.text.endswith(".")
    assert len(line.text) > 20


def test_no_two_reasons_are_told_alike():
    assert len({wording.why(reason) for reason in Reason}) == len(Reason)
    assert len({wording.moved(because) for because in Because}) == len(Because)


@pytest.mark.parametrize("reason", Reason)
def test_every_hand_over_ends_with_what_to_do(reason):
    story = tell((OPENED, intended(0, after(minutes=10)), ended(after(minutes=12), Decision.HAND_OVER, reason)))
    (todo,) = story[-2].notes
    assert todo.endswith(".")
    assert story[-2].text == "The guard is done, 12m after the first breach: people have to go on."


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_told_with_what_the_target_said(outcome):
    story = tell((OPENED, intended(0, after(minutes=10)), concluded(0, after(minutes=11), outcome, detail="said so")))
    told = [line for line in story if "said so" in line.notes]
    assert len(told) == 1
    assert "disable-new-checkout" in told[0].text
    assert "1m" in told[0].text


@pytest.mark.parametrize("because", Because)
def test_every_transition_of_its_rules_is_told_and_no_other(because):
    change = Transition(
        rule=RULE, series=(("code", "500"),), before=Phase.INACTIVE, after=Phase.PENDING, because=because, value=1234.56
    )
    other = replace(change, rule="search/SearchErrorRate")
    story = printed((OPENED, Evaluated(group="checkout", slot=after(minutes=1), transitions=(change, other))))
    assert f'CheckoutErrorRate{{code="500"}} {wording.moved(because)} (value 1234.6).' in story
    assert "Search" not in story


def test_losing_and_gaining_sight_is_told():
    lost = Sight(rule=RULE, reason=Unknown.CONNECT, since=after(), detail="connection refused")
    story = printed(
        (
            OPENED,
            Evaluated(group="checkout", slot=after(minutes=11), sights=(lost,)),
            Evaluated(group="checkout", slot=after(minutes=12), sights=(Sight(rule=RULE, reason=None),)),
        )
    )
    assert "CheckoutErrorRate is unknown (connect).\n" + " " * 19 + "connection refused" in story
    assert "CheckoutErrorRate is known again." in story


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (watched(after(minutes=11), Verdict.BREACH), "The rules breach."),
        (watched(after(minutes=11), Verdict.UNKNOWN), "It cannot be seen at the moment whether the rules pass."),
        (
            watched(after(minutes=11), Verdict.UNKNOWN, extended=True),
            "It cannot be told yet whether it helped; watched once more, until 10:04:00.",
        ),
        (
            IncidentJoined(incident=ID, guard="checkout", at=after(minutes=11), rules=("g/A", "g/B", "g/C")),
            "A, B and C fired too and joined the incident.",
        ),
        (
            Started(at=after(minutes=11), version="0.1.0", digest="d", mode=Mode.ENFORCE),
            "rollback-guard 0.1.0 was started (enforce).",
        ),
        (Stopped(at=after(minutes=11), open_intents=("k-1",)), "rollback-guard was stopped."),
        (
            Configured(at=after(minutes=11), digest="d", mode=Mode.DRY_RUN, groups=(), guards=()),
            "A new configuration came into force (dry-run).",
        ),
        (ClockStepped(at=after(minutes=11), by=timedelta(hours=-1)), "The machine's clock was set by -1h."),
        (
            Rewound(group="checkout", at=after(minutes=11), slot=after(minutes=9)),
            "The data source is back: group checkout is read again from 09:59:00.",
        ),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_everything_else_is_told_too(record, words):
    assert words in printed((OPENED, record))


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (RECOVERED[:3], "disable-new-checkout is under way, or how it ended is not known yet."),
        (RECOVERED[:4], "Not over yet: the effect is being watched."),
        (RECOVERED[:5], "Not over yet: the effect is being watched."),
        (
            (OPENED, decided(Decision.HOLD, Reason.STORM, after(minutes=10), BREACH)),
            "Not over yet: the guard still does not act, because several guards breach at once",
        ),
    ],
)
def test_an_open_incident_says_how_things_stand(records, words):
    assert tell(records)[-1].text.startswith(words)


def test_without_records_there_is_no_story():
    assert tell(()) == ()


def test_lines_are_in_the_order_of_time():
    story = tell(RECOVERED)
    assert [line.at for line in story] == sorted(line.at for line in story)
    assert story[0].offset == timedelta(0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.018, "0.018"),
        (0.0182449, "0.01824"),
        (1.0, "1"),
        (0.0, "0"),
        (123456.0, "123456"),
        (123456.789, "123456.8"),
        (-2.5, "-2.5"),
        (1e-9, "1e-09"),
        (1e30, "1e+30"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_short_and_never_percent(value, text):
    assert wording.number(value) == text


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (replace(BREACH, op="<", series=()), "CheckoutErrorRate is 0.01824, below 0.01"),
        (replace(BREACH, op="!=", series=()), "CheckoutErrorRate is 0.01824, other than 0.01"),
        (replace(BREACH, threshold=None, op=None, series=()), "CheckoutErrorRate is 0.01824"),
        (replace(BREACH, value=None, series=()), "CheckoutErrorRate: breaches"),
        (replace(FINE, value=None, series=()), "CheckoutErrorRate: passes"),
        (DOWN, "checkout-ready: HTTP 503, expected 200"),
    ],
)
def test_what_was_seen_is_told_against_the_threshold(evidence, text):
    assert wording.seen(evidence) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0031, "3ms"),
        (0.6, "600ms"),
        (1, "1s"),
        (1.25, "1.2s"),
        (9.96, "10s"),
        (10.4, "10s"),
        (135, "2m15s"),
    ],
)
def test_spans_are_as_exact_as_people_need(seconds, text):
    assert wording.span(timedelta(seconds=seconds)) == text
