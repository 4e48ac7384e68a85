"""What other systems say is observed like a rule: what fires breaches, and nothing else."""

from datetime import timedelta

from build import START, a_group, a_rule, series
from rollback_guard.core.model import SIGNAL
from rollback_guard.core.orders import Signal
from rollback_guard.core.signals import observe

GROUP = a_group(
    a_rule("Corrupt", group="signal/checkout"),
    a_rule("Breach", group="signal/checkout"),
    id="signal/checkout",
    source=SIGNAL,
)


def heard(name="Corrupt", *, guard="checkout", firing=True, starts_at=START, summary="", **labels):
    return Signal(
        guard=guard,
        name=name,
        labels=series(alertname=name, **labels),
        firing=firing,
        starts_at=starts_at,
        summary=summary,
    )


def fire(*signals, **more):
    said = observe(GROUP, signals, **more)
    return {
        rule.rpartition("/")[2]: [dict(each.labels) for each in seen.measured.samples] for rule, seen in said.items()
    }


def test_nothing_heard_is_health():
    assert fire() == {"Corrupt": [], "Breach": []}


def test_what_fires_is_a_sample_with_its_labels():
    assert fire(heard(pod="b"), heard(pod="a")) == {
        "Corrupt": [{"alertname": "Corrupt", "pod": "a"}, {"alertname": "Corrupt", "pod": "b"}],
        "Breach": [],
    }


def test_what_is_resolved_or_another_guards_is_none():
    assert fire(heard(firing=False), heard(guard="search")) == {"Corrupt": [], "Breach": []}


def test_what_began_later_was_not_there_yet():
    late = heard(starts_at=START + timedelta(minutes=5))
    assert fire(late, begun_by=START)["Corrupt"] == []
    assert fire(late, begun_by=START + timedelta(minutes=5))["Corrupt"] != []


def test_the_words_of_the_sender_are_kept_each_once():
    said = observe(GROUP, [heard(pod="a", summary="two rows differ"), heard(pod="b", summary="two rows differ")])
    assert said["signal/checkout/Corrupt"].detail == "two rows differ"
