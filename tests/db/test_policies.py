"""Adapters as policies: what a name stands for, which one is active, what each wrote."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.annotation.edits import correction as annotation
from app.annotation.edits.path import Path as TreePath
from app.models import AuditEvent, Policy, Worker, now
from app.policies import loading, queries, service
from app.policies.fingerprint import adapter_hash, read_adapter
from app.policies.loading import Report
from app.policies.queries import Use
from app.refusals import Conflict, Invalid, NotFound
from tests.support.adapters import add_adapter, make_adapter
from tests.support.factories import add_draft, add_policy, add_project, add_sample, add_user


def says(db: Session, worker: str, engine: str = "openai", **said: object) -> None:
    """A worker of the base model /m says something of itself."""
    loading.report(db, worker=worker, said=Report(engine, "/m", "lecturer", **said))  # type: ignore[arg-type] # a test's own words


@pytest.fixture
def first(db: Session, tmp_path: Path) -> Policy:
    """An adapter of /m."""
    return add_adapter(db, make_adapter(tmp_path / "first"), name="round-1")


@pytest.fixture
def second(db: Session, tmp_path: Path) -> Policy:
    """Another one of /m."""
    return add_adapter(db, make_adapter(tmp_path / "second", weights=b"2"), name="round-2")


def test_adding_the_same_again_changes_nothing(db: Session, first: Policy) -> None:
    for adapter, round in ((first.adapter, None), (f"{first.adapter}/", first.round)):
        again = service.register(
            db,
            name="round-1",
            adapter=adapter,
            adapter_hash=str(first.adapter_hash),
            base_model="/m",
            round=round,
        )
        assert again is first


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"adapter": "/srv/moved"}, "its directory is .*/first, not /srv/moved"),
        ({"revision": "v2"}, "its revision is none, not v2"),
        ({"base_model": "/another"}, "its base model is /m, not /another"),
        ({"adapter_hash": "b" * 64}, "the hash of its files is [0-9a-f]{64}, not bbb"),
        ({"round": 0}, "its round is 1, not 0"),
        ({"adapter": "/x", "round": 3}, "its directory is .*; its round is 1, not 3"),
    ],
)
def test_a_name_stands_for_one_adapter(
    db: Session, first: Policy, other: dict[str, object], told: str
) -> None:
    facts = {"adapter": first.adapter, "adapter_hash": first.adapter_hash, "base_model": "/m"}
    with pytest.raises(Conflict, match=f"round-1 already belongs to another adapter: {told}"):
        service.register(db, name="round-1", **{**facts, **other})  # type: ignore[arg-type] # each has its own type


def test_rounds_count_up_by_base_model(db: Session, first: Policy, second: Policy) -> None:
    assert (first.round, second.round) == (1, 2)


def test_the_name_of_a_served_model_stands_for_what_it_serves(db: Session, tmp_path: Path) -> None:
    facts = {"base_model": "/srv/qwen", "served_name": "qwen"}
    db.add(Policy(name="qwen@1", engine="openai", **facts))
    db.flush()
    added = add_adapter(db, make_adapter(tmp_path / "a"), name="round-9", base="qwen")
    assert added.base_model == "/srv/qwen"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../x"),
        ("name", ""),
        ("adapter", "relative"),
        ("adapter", "/a\nb"),
        ("adapter_hash", "abc"),
        ("base_model", ""),
        ("round", -1),
        ("revision", "a\0b"),
    ],
)
def test_what_cannot_be_a_policy_names_the_field(db: Session, field: str, value: object) -> None:
    facts = {"name": "a", "adapter": "/a", "adapter_hash": "0" * 64, "base_model": "/m"}
    with pytest.raises(Invalid) as refused:
        service.register(db, **{**facts, field: value})  # type: ignore[arg-type] # on purpose
    assert refused.value.field == field


def test_a_hash_is_of_what_a_model_reads(tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "a")
    before = adapter_hash(adapter)
    (adapter / "README.md").write_text("hello")
    (adapter / "optimizer.pt").write_bytes(b"state")
    assert adapter_hash(adapter) == before
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        whole = (adapter / name).read_bytes()
        (adapter / name).write_bytes(whole + b" ")
        assert adapter_hash(adapter) != before
        (adapter / name).write_bytes(whole)
    assert adapter_hash(adapter) == before


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_directory_without_an_adapter_is_refused(tmp_path: Path, missing: str) -> None:
    adapter = make_adapter(tmp_path / "a")
    (adapter / missing).unlink()
    with pytest.raises(Invalid, match="holds no adapter"):
        read_adapter(adapter)


def test_one_is_active_and_the_one_before_stands_in_reserve(
    db: Session, first: Policy, second: Policy
) -> None:
    service.activate(db, policy_id=first.id)
    service.activate(db, policy_id=second.id)
    db.refresh(first)
    assert (first.active, second.active) == (False, True)
    found = loading.wanted(db, base_models={"/m", "lecturer"})
    assert [(one.name, one.active) for one in found] == [("round-2", True), ("round-1", False)]
    assert loading.wanted(db, base_models={"/another"}) == []
    service.deactivate(db, policy_id=second.id)
    assert loading.wanted(db, base_models={"/m"}) == []
    actions = db.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert actions[-5:] == ["added_policy"] * 2 + ["activated_policy"] * 2 + ["deactivated_policy"]


def test_the_schema_holds_one_active_adapter_per_base_model(
    db: Session, first: Policy, second: Policy
) -> None:
    service.activate(db, policy_id=first.id)
    with pytest.raises(IntegrityError, match="uq_policies_active"), db.begin_nested():
        db.execute(
            text(f"UPDATE policies SET active = true, activated_at = now() WHERE id = {second.id}")
        )
    base = add_policy(db)
    with pytest.raises(IntegrityError, match="active_is_an_adapter"), db.begin_nested():
        db.execute(
            text(f"UPDATE policies SET active = true, activated_at = now() WHERE id = {base.id}")
        )


def test_only_an_added_adapter_can_be_active(db: Session) -> None:
    with pytest.raises(Conflict, match="not an added adapter"):
        service.activate(db, policy_id=add_policy(db).id)
    with pytest.raises(NotFound):
        service.activate(db, policy_id=10**9)


def test_an_adapter_is_refused_where_all_workers_replay(db: Session, first: Policy) -> None:
    says(db, "a:1", "replay")
    with pytest.raises(Conflict, match="an adapter has no effect"):
        service.activate(db, policy_id=first.id)
    says(db, "b:1")
    service.activate(db, policy_id=first.id)


def test_a_policy_says_what_the_workers_make_of_it(
    db: Session, first: Policy, second: Policy
) -> None:
    def use(policy: Policy) -> Use:
        return queries.use_of(db, policy.id).use

    assert use(first) is Use.IDLE
    service.activate(db, policy_id=first.id)
    assert use(first) is Use.UNSERVED
    says(db, "a:1", policy_id=second.id)
    assert use(first) is Use.LOADING
    says(db, "a:1", policy_id=first.id)
    assert use(first) is Use.WRITING
    says(db, "b:1", policy_id=second.id)
    assert use(first) is Use.LOADING
    says(db, "b:1", policy_id=second.id, refused_id=first.id, problem="Too large.")
    assert use(first) is Use.REFUSED
    assert queries.use_of(db, first.id).refusals == {"b:1": "Too large."}
    service.activate(db, policy_id=first.id)
    assert use(first) is Use.LOADING


def test_a_worker_that_is_silent_counts_no_more(db: Session, first: Policy) -> None:
    says(db, "a:1", policy_id=first.id)
    db.execute(text("UPDATE workers SET seen_at = now() - interval '1 minute'"))
    assert queries.workers(db) == ()
    assert loading.heard(db, worker="a:1")
    assert [worker.name for worker in queries.workers(db)] == ["a:1"]
    db.execute(text("UPDATE workers SET seen_at = now() - interval '1 hour'"))
    says(db, "b:1")
    assert not loading.heard(db, worker="a:1")
    loading.left(db, worker="b:1")
    assert db.scalars(select(Worker)).all() == []


def test_what_each_wrote_is_counted_without_copies(db: Session) -> None:
    user = add_user(db)
    wrote = add_policy(db)
    sample = add_sample(db, project=add_project(db, user), policy=wrote)
    draft = add_draft(db, sample=sample, user=user)

    def counts() -> tuple[int, int]:
        view = next(one for one in queries.policies(db) if one.id == wrote.id)
        return view.segments, view.pairs

    assert counts() == (4, 0)
    assert sample.head_id is not None
    segment = TreePath.load(db, sample.head_id).steps[2]
    annotation.correct(
        db,
        draft=draft,
        base_version=1,
        segment_id=segment.id,
        text="## Slide 2\nThe chart shows 15 percent.",
        rewrite=False,
    )
    assert counts() == (4, 1)


def test_a_million_segments_are_not_counted_to_the_end(db: Session) -> None:
    wrote = add_policy(db)
    sample = add_sample(db, project=add_project(db, add_user(db)), policy=wrote)
    assert {one.counted_all for one in queries.policies(db)} == {True}
    db.execute(
        text(
            "INSERT INTO segments (sample_id, parent_id, depth, text, origin, policy_id)"
            " SELECT :sample, root.id, 1, 'Text.', 'model', :policy"
            " FROM segments root, generate_series(1, :count)"
            " WHERE root.sample_id = :sample AND root.parent_id IS NULL"
        ),
        {"sample": sample.id, "policy": wrote.id, "count": queries.COUNTED},
    )
    view = next(one for one in queries.policies(db) if one.id == wrote.id)
    assert (view.segments, view.counted_all) == (queries.COUNTED, False)


def test_a_policy_is_found_by_its_name(db: Session, first: Policy) -> None:
    assert queries.policy_id_of(db, "round-1") == first.id
    for name in ("round-7", "a\0b"):
        with pytest.raises(NotFound):
            queries.policy_id_of(db, name)


def test_times_are_of_the_activation(db: Session, first: Policy) -> None:
    service.activate(db, policy_id=first.id)
    assert first.activated_at is not None
    assert now() - first.activated_at < timedelta(minutes=1)
