"""A proposal's life: no rollout without approval, one winner a race, nothing lost in between."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from graph.errors import ConflictError, InputError, RefusedError
from safety.event_store import LifecycleStore
from safety.lifecycle import ALLOWED, Event, Message, Standing, State, advance, overdue, replay

T0 = datetime(2026, 1, 20, 14, 0, tzinfo=UTC)
DEADLINE = T0 + timedelta(minutes=15)
TO_PENDING = (State.DRAFTED, State.SHADOWED, State.CANARIED, State.COMPLIANT, State.PENDING)


def event(to: State, minutes: float = 0.0, key: str = "", actor: str = "alice") -> Event:
    return Event(
        to=to, at=T0 + timedelta(minutes=minutes), actor=actor,
        deadline=DEADLINE if to is State.PENDING else None,
        messages=(Message(key=key, kind="order", body={"n": 1}),) if key else (),
    )  # fmt: skip


def pending(store: LifecycleStore, name: str = "p1") -> Standing:
    standing = store.standing(name)
    for state in TO_PENDING:
        standing = store.append(name, standing.version, event(state))
    return standing


@pytest.fixture
def store(tmp_path: Path):
    store = LifecycleStore(f"sqlite:///{tmp_path}/life.db")
    yield store
    store.close()


def test_a_life_from_draft_to_close_survives_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path}/life.db"
    store = LifecycleStore(url)
    standing = pending(store)
    for state in (State.APPROVED, State.ROLLING_OUT, State.PROMOTED, State.CLOSED):
        standing = store.append("p1", standing.version, event(state, 1))
    store.close()
    again = LifecycleStore(url)
    assert again.standing("p1") == standing
    assert [e.to for e in again.events("p1")][-1] is State.CLOSED
    assert not standing.open
    assert again.standing("p2").version == 0
    again.close()


def test_of_eight_approvals_that_race_one_wins_and_its_order_goes_out_once(tmp_path):
    url = f"sqlite:///{tmp_path}/life.db"
    first = LifecycleStore(url)
    version = pending(first).version
    barrier, outcomes = threading.Barrier(8), []

    def approve(number: int) -> None:
        store = LifecycleStore(url)  # a connection pool of its own, as another process would have
        barrier.wait()
        try:
            store.append("p1", version, event(State.APPROVED, 1, f"order-{number}", f"p{number}"))
            outcomes.append("won")
        except ConflictError:
            outcomes.append("lost")
        finally:
            store.close()

    threads = [threading.Thread(target=approve, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]
    assert len(first.undelivered()) == 1
    assert first.standing("p1").version == version + 1
    first.close()


def test_the_outbox_redelivers_with_the_same_key_until_told_and_never_twice_the_same_key(store):
    standing = pending(store)
    standing = store.append("p1", standing.version, event(State.APPROVED, 1, "order-1"))
    assert [m.key for m in store.undelivered()] == ["order-1"]
    assert store.undelivered() == store.undelivered()  # reading is not delivering
    before = store.standing("p1")
    with pytest.raises(ConflictError):
        store.append("p1", standing.version, event(State.ROLLING_OUT, 2, "order-1"))
    assert store.standing("p1") == before  # the event went with its message
    assert len(store.events("p1")) == before.version
    store.delivered("order-1", T0)
    store.delivered("order-1", T0 + timedelta(hours=1))
    assert store.undelivered() == ()


def test_a_refused_event_leaves_no_trace(store):
    standing = pending(store)
    with pytest.raises(RefusedError, match="transition"):
        store.append("p1", standing.version, event(State.ROLLING_OUT, 1, "order-1"))
    assert store.standing("p1") == standing
    assert store.undelivered() == ()


def test_a_deadline_that_passes_expires_and_is_never_an_approval(store):
    standing = pending(store)
    late = event(State.APPROVED, 15)
    with pytest.raises(RefusedError, match="deadline"):
        store.append("p1", standing.version, late)
    assert store.expire_overdue(T0 + timedelta(minutes=14)) == ()
    assert store.expire_overdue(T0 + timedelta(minutes=15)) == ("p1",)
    expired = store.standing("p1")
    assert expired.state is State.EXPIRED
    with pytest.raises(RefusedError, match="transition"):
        store.append("p1", expired.version, event(State.APPROVED, 16))
    with pytest.raises(RefusedError, match="deadline"):
        advance(
            Standing(proposal_id="x", version=4, state=State.COMPLIANT),
            Event(to=State.PENDING, at=T0, actor="alice"),
        )


def test_time_does_not_run_back_and_every_event_has_an_actor():
    standing = replay("p", [event(State.DRAFTED, 5)])
    with pytest.raises(RefusedError, match="order"):
        advance(standing, event(State.SHADOWED, 4))
    with pytest.raises(RefusedError, match="actor"):
        advance(standing, event(State.SHADOWED, 6, actor=""))


def test_every_road_to_promoted_leads_through_approved_and_rolling_out():
    def roads(state, behind):
        if state is State.PROMOTED:
            yield behind
        for nearer in sorted(ALLOWED[state]):
            if nearer not in behind:
                yield from roads(nearer, (*behind, nearer))

    found = list(roads(None, ()))
    assert found
    for road in found:
        assert road[-3:] == (State.APPROVED, State.ROLLING_OUT, State.PROMOTED)
        assert set(TO_PENDING) <= set(road)


def test_an_unusable_url_is_named():
    with pytest.raises(InputError, match="database URL"):
        LifecycleStore("nonsense://x/y")


@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(State)), max_size=25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_projection_rebuilt_from_the_events_equals_the_live_one(steps):
    store = LifecycleStore("sqlite://")
    for k, (name, to) in enumerate(steps):
        standing = store.standing(name)
        nearest = sorted(ALLOWED[standing.state])
        chosen = to if to in nearest or not nearest else nearest[k % len(nearest)]
        try:
            store.append(name, standing.version, event(chosen, k / 10, f"{k}"))
        except RefusedError:
            continue
    live = store.standings()
    assert store.rebuild() == live == store.standings()
    for standing in live:
        assert replay(standing.proposal_id, store.events(standing.proposal_id)) == standing
    store.close()


class Lives(RuleBasedStateMachine):
    """Two actors with stale knowledge push one proposal about while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.store = LifecycleStore("sqlite://")
        self.known = {"alice": 0, "bob": 0}
        self.minutes = 0.0
        self.trail: list[tuple[State, datetime]] = []

    def teardown(self) -> None:
        self.store.close()

    @rule(minutes=st.sampled_from([0.0, 1.0, 6.0]))
    def time_passes(self, minutes: float) -> None:
        self.minutes += minutes

    @rule(actor=st.sampled_from(["alice", "bob"]))
    def look(self, actor: str) -> None:
        self.known[actor] = self.store.standing("p").version

    @rule(actor=st.sampled_from(["alice", "bob"]), to=st.sampled_from(State))
    def try_anything(self, actor: str, to: State) -> None:
        self._push(actor, to)

    @precondition(lambda self: self.store.standing("p").open)
    @rule(actor=st.sampled_from(["alice", "bob"]), pick=st.integers(0, 3))
    def try_what_is_allowed(self, actor: str, pick: int) -> None:
        allowed = sorted(ALLOWED[self.store.standing("p").state])
        self._push(actor, allowed[pick % len(allowed)])

    @rule()
    def watch_the_deadline(self) -> None:
        now = T0 + timedelta(minutes=self.minutes)
        before = self.store.standing("p")
        if self.store.expire_overdue(now):
            assert overdue(before, now)
            self.trail.append((State.EXPIRED, now))

    def _push(self, actor: str, to: State) -> None:
        given_event, version = event(to, self.minutes), self.store.standing("p").version
        try:
            self.known[actor] = self.store.append("p", self.known[actor], given_event).version
        except ConflictError:
            assert self.known[actor] != version
        except RefusedError:
            assert self.store.standing("p").version == version
        else:
            self.trail.append((to, given_event.at))

    @invariant()
    def nothing_was_skipped(self) -> None:
        states = [state for state, _ in self.trail]
        assert states == [e.to for e in self.store.events("p")]
        if State.PROMOTED in states:
            assert State.APPROVED in states
            assert states.index(State.APPROVED) < states.index(State.ROLLING_OUT)
        if State.EXPIRED in states:
            assert State.APPROVED not in states[states.index(State.EXPIRED) :]
        assert all(at < DEADLINE for state, at in self.trail if state is State.APPROVED)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
