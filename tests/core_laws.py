"""What holds of the core whatever happens, each law a sentence.

They are checked against what was really shown, asked and written, and not against the functions that decided.
"""

from __future__ import annotations

from itertools import pairwise

from build import BELONG_TOGETHER, minutes
from core_world import UNDOS
from rollback_guard.core import step as core
from rollback_guard.core.brakes import MUTED
from rollback_guard.core.fold import fold_all
from rollback_guard.core.incident import intended
from rollback_guard.core.model import Armed, BlindPolicy, Mode
from rollback_guard.core.records import (
    Acknowledged,
    ClockStepped,
    Concluded,
    Decided,
    Decision,
    Escalated,
    IncidentCleared,
    IncidentEnded,
    IncidentOpened,
    Intended,
    Outcome,
    Paused,
    Reason,
    Resumed,
    Triggered,
    Vetoed,
)
from rollback_guard.core.state import EVERYTHING, GuardState, IncidentPhase, State

BLIND = set("uaq")

laws = []


def law(sentence):
    """Hold a sentence after every turn, and through the end of every story."""
    laws.append(sentence)
    return sentence


class Laws:
    """Look at a world, and at what was told in its present turn."""

    def hold(self):
        for check in laws:
            check(self)

    @law
    def no_key_has_two_effects_and_none_is_used_twice(self):
        assert set(self.world.effects.values()) <= {1}
        if self.world.records(Intended):
            keys = [each.key for each in self.world.journal if isinstance(each, Intended)]
            assert len(set(keys)) == len(keys)

    @law
    def no_incident_has_two_steps_under_way(self):
        for incident in self.world.state.incidents.values():
            assert all(intent.outcome is not None for intent in incident.intents[:-1])
            assert all(undo.outcome is not None for undo in incident.undos[:-1])
            assert (incident.phase is IncidentPhase.ACTING) == (incident.open_intent is not None)

    @law
    def no_guard_does_two_things_at_a_time(self):
        """Not even where they are of two incidents: an action and the undo of another one, whichever ends last wins."""
        busy = [each.guard for each in self.world.state.incidents.values() for _ in each.open_intents]
        assert len(set(busy)) == len(busy)

    @law
    def no_incident_begins_by_itself_where_a_brake_was_to_be_expected(self):
        for told in self.world.records(IncidentOpened):
            assert told.record.by or not self.expected_brakes(told)

    @law
    def what_is_muted_is_so_by_a_brake_that_holds_and_no_incident_is_left_open_behind_it(self):
        for told in self.world.records(Decided):
            if told.record.reason in MUTED and told.record.incident is None:
                assert told.record.reason in self.expected_brakes(told)
                assert told.before.guards.get(told.record.guard, GuardState()).incident is None

    def expected_brakes(self, told):
        """Return which of the brakes that were to be expected hold for the guard of a record."""
        guard = told.policy.guards[told.record.guard]
        rollout = told.before.guards.get(guard.name, GuardState()).rollout
        under_way = rollout and rollout.finished_at is None and told.now < rollout.until
        windows = [each for each in told.before.maintenance if not each.guards or guard.name in each.guards]
        holds = {
            Reason.NOT_ARMED: guard.armed is Armed.ROLLOUT and not under_way,
            Reason.MAINTENANCE: any(told.now < window.until for window in windows),
        }
        return {reason for reason in MUTED if holds[reason]}

    @law
    def what_is_to_be_taken_back_was_done_and_asked_for(self):
        for incident in self.world.state.incidents.values():
            done = {intent.key for intent in incident.intents if intent.outcome is Outcome.SUCCEEDED}
            assert set(incident.undo_queue) <= done
            assert not incident.undo_queue or incident.undos[-1].by

    @law
    def what_runs_is_what_is_open(self):
        open_intents = {intent.key for each in self.world.state.incidents.values() for intent in each.open_intents}
        assert set(self.world.running) == open_intents

    @law
    def every_step_is_begun_right_after_the_decision_that_gives_its_reason(self):
        newest = self.world.told[max(0, self.world.turn - 1) :]
        for why, record in pairwise(each.record for each in newest):
            if isinstance(record, Intended) and not record.undoes:
                assert isinstance(why, Decided)
                assert (why.decision, why.incident, why.step, why.action) == (
                    Decision.ACT,
                    record.incident,
                    record.step,
                    record.action,
                )

    @law
    def every_decision_has_a_reason_that_belongs_to_it(self):
        for told in self.world.records(Decided):
            assert told.record.reason in BELONG_TOGETHER[told.record.decision]

    @law
    def nothing_is_begun_in_a_dry_run(self):
        for told in self.world.records(Intended):
            assert told.policy.mode is Mode.ENFORCE

    @law
    def nothing_is_begun_while_people_keep_the_hands_off(self):
        for told in self.world.records(Intended):
            for name in (EVERYTHING, told.record.guard):
                pause = told.before.pauses.get(name)
                assert pause is None or (pause.until is not None and pause.until <= told.now)

    @law
    def a_guard_begins_nothing_by_itself_in_a_maintenance_window(self):
        for told in self.world.records(Intended):
            for window in told.before.maintenance:
                mine = not window.guards or told.record.guard in window.guards
                assert told.record.by or not mine or window.until <= told.now

    def breaches(self, told, rules):
        """Say whether one of the rules was last seen to breach, and not long ago."""
        for name in rules:
            letter, at = told.shown.get(name, ("", told.now))
            known = told.policy.rules.get(name)
            recent = known and told.now - at < 2 * told.policy.groups[known.group].interval + minutes(1)
            if recent and letter == "b":
                return True
        return False

    def acts_blindly(self, told):
        guard = told.policy.guards[told.record.guard]
        cannot_see = any(told.shown.get(name, "?")[0] in BLIND for name in guard.rules)
        return guard.blind.do is BlindPolicy.ACT and cannot_see

    @law
    def a_guard_begins_nothing_by_itself_on_what_is_not_seen_to_breach(self):
        for told in self.world.records(Intended):
            incident = told.before.incidents[told.record.incident]
            rules = {*incident.rules, *(name for intent in incident.intents for name in intent.rules)}
            assert told.record.by or self.breaches(told, rules) or self.acts_blindly(told)

    @law
    def not_knowing_opens_no_incident(self):
        for told in self.world.records(IncidentOpened):
            assert told.record.by or self.breaches(told, told.record.rules) or self.acts_blindly(told)

    @law
    def not_knowing_ends_no_incident_well(self):
        for told in self.world.records(IncidentEnded, IncidentCleared):
            record, incident = told.record, told.before.incidents[told.record.incident]
            well = record.decision is Decision.RECOVERED if isinstance(record, IncidentEnded) else True
            guard = told.policy.guards.get(record.guard)
            known = [name for name in incident.rules if name in told.policy.rules]
            if not well or guard is None or (incident.rules and not known):
                continue
            proofs = [known, [name for intent in incident.intents for name in intent.rules]]
            triggers = sorted(guard.rules) if not incident.rules else []
            assert any(
                rules and all(told.shown[name][0] == "p" for name in rules if name in told.policy.rules)
                for rules in (*proofs, triggers)
            )

    @law
    def a_guard_never_does_more_by_itself_than_its_limits_and_those_of_all_guards_allow(self):
        done = []
        for number, told in enumerate(self.world.told if self.world.records(Intended) else ()):
            record, policy = told.record, told.policy
            if isinstance(record, ClockStepped):
                done = [(name, at + record.by) for name, at in done]
            if not isinstance(record, Intended) or record.notify or record.undoes:
                continue
            done.append((record.guard, record.at))
            if number >= self.world.turn and not record.by:
                limits, fleet = policy.guards[record.guard].limits, policy.fleet
                mine = sum(name == record.guard and record.at - at < limits.per for name, at in done)
                assert mine <= limits.max_actions
                assert (
                    fleet.max_actions is None or sum(record.at - at < fleet.per for _, at in done) <= fleet.max_actions
                )

    @law
    def after_a_veto_only_people_go_on(self):
        vetoed = set()
        for told in self.world.told if self.world.records(Intended) else ():
            match told.record:
                case Vetoed(incident=incident):
                    vetoed.add(incident)
                case Triggered(incident=incident):
                    vetoed.discard(incident)
                case Intended(incident=incident, by=""):
                    assert incident not in vetoed

    @law
    def what_people_have_in_hand_or_what_is_over_begins_nothing_by_itself(self):
        over = {IncidentPhase.HANDED_OVER, IncidentPhase.CLOSED}
        for told in self.world.records(Intended):
            assert told.record.by or told.before.incidents[told.record.incident].phase not in over

    @law
    def a_ladder_is_climbed_upwards(self):
        for incident in self.world.state.incidents.values():
            for before, intent in pairwise(incident.intents):
                assert intent.by or intent.step > before.step or (before.held and intent.step == before.step)

    @law
    def a_closed_incident_stays_closed(self):
        for told in self.world.fresh():
            for id_, incident in told.before.incidents.items():
                if incident.phase is IncidentPhase.CLOSED and id_ in told.after.incidents:
                    assert told.after.incidents[id_].phase is IncidentPhase.CLOSED

    @law
    def every_open_incident_is_its_guards_only_one_and_has_a_last_decision_with_a_reason(self):
        state = self.world.state
        alive = [each for each in state.incidents.values() if each.phase is not IncidentPhase.CLOSED]
        assert {each.guard: each.id for each in alive} == {
            name: guard.incident for name, guard in state.guards.items() if guard.incident
        }
        for incident in alive:
            last = state.guards[incident.guard].last
            assert (last.incident, last.reason is not None) == (incident.id, True)

    @law
    def people_are_called_level_by_level_and_not_once_somebody_takes_care(self):
        for told in self.world.records(Escalated):
            incident = told.before.incidents[told.record.incident]
            assert told.record.level == incident.escalated + 1
            assert incident.phase is not IncidentPhase.CLOSED
            assert incident.acknowledged_at is None
        for told in self.world.records(Acknowledged):
            assert told.after.incidents[told.record.incident].acknowledged_by == "ann"

    @law
    def a_step_is_taken_back_once_and_only_if_it_was_done(self):
        for told in self.world.records(Intended):
            if told.record.undoes:
                incident = told.before.incidents[told.record.incident]
                (intent,) = [each for each in incident.intents if each.key == told.record.undoes]
                assert (intent.outcome, UNDOS[intent.action]) == (Outcome.SUCCEEDED, told.record.action)
                others = [undo.outcome for undo in incident.undos if undo.undoes == intent.key]
                assert set(others) <= {Outcome.FAILED}

    @law
    def what_is_open_is_not_tried_again_against_the_will_of_people(self):
        world = self.world
        for incident in world.state.incidents.values():
            for intent in incident.open_intents:
                wanted = world.think(core.is_wanted, intended(incident, intent), now=world.now)
                paused = [world.state.pauses.get(name) for name in (EVERYTHING, incident.guard)]
                if any(pause and (pause.until is None or world.now < pause.until) for pause in paused):
                    assert wanted is not True
                if world.policy.mode is Mode.DRY_RUN or (incident.vetoed_by and not intent.undoes):
                    assert wanted is False

    @law
    def a_pause_ends_only_by_people_or_at_its_time(self):
        for told in self.world.fresh():
            if not isinstance(told.record, Resumed | Paused | ClockStepped):
                assert told.before.pauses == told.after.pauses
        for told in self.world.records(Resumed):
            pause = told.before.pauses[told.record.guard or EVERYTHING]
            assert told.record.by or pause.until <= told.now

    @law
    def only_an_outcome_and_an_order_follow_an_outcome_that_nobody_knows(self):
        for told in self.world.records(Concluded):
            incident = told.before.incidents[told.record.incident]
            if (
                told.record.outcome is Outcome.UNKNOWN
                and not incident.queue
                and told.record.guard in told.policy.guards
            ):
                after = self.world.state.incidents[incident.id]
                step = any(each.key == told.record.key for each in incident.intents)
                assert not step or after.phase in {IncidentPhase.HANDED_OVER, IncidentPhase.CLOSED}

    @law
    def the_state_is_the_fold_of_the_records_and_of_what_the_journal_makes_of_them(self):
        assert self.world.twin == self.world.state

    def the_journal_tells_what_is_the_case(self):
        world = self.world
        told = fold_all(State(), world.journal + world.backlog)
        for part in ("incidents", "guards", "pauses", "maintenance", "signals", "run", "digest", "started_at"):
            assert getattr(told, part) == getattr(world.state, part)
        assert {name: group.alerts for name, group in told.groups.items() if group.alerts} == {
            name: group.alerts for name, group in world.state.groups.items() if group.alerts
        }
