"""The page of policies: what each is, what it wrote, and one that is activated."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.models import AuditEvent, Policy
from app.policies import loading
from app.policies.loading import Report
from tests.http.conftest import HTMX, World
from tests.support.adapters import add_adapter, make_adapter


@pytest.fixture
def policy(db: Session, tmp_path: Path) -> Policy:
    """An adapter of /m."""
    added = add_adapter(db, make_adapter(tmp_path / "a"), name="round-1")
    db.commit()
    return added


def test_an_admin_activates_an_adapter_and_sees_what_becomes_of_it(
    admin: TestClient, db: Session, policy: Policy, world: World
) -> None:
    loading.report(db, worker="gpu1:7", said=Report("openai", "/m", "lecturer"))
    db.commit()
    assert "Activate round-1" in admin.get("/policies").text
    answer = admin.post(f"/policies/{policy.id}/activation")
    assert (answer.status_code, answer.headers["location"]) == (303, "/policies")
    page = admin.get("/policies").text
    assert ">loading<" in page
    assert "every 1s" in page
    said = Report("openai", "/m", "lecturer", refused_id=policy.id, problem="Its rank is <64>.")
    loading.report(db, worker="gpu1:7", said=said)
    db.commit()
    fragment = admin.get("/policies", headers=HTMX).text
    assert "not loaded" in fragment
    assert "on 1 of 1 workers" in fragment
    assert "Its rank is &lt;64&gt;." in fragment
    assert "every 1s" not in fragment
    assert "<html" not in fragment
    said = Report("openai", "/m", "lecturer", policy_id=policy.id)
    loading.report(db, worker="gpu1:7", said=said)
    db.commit()
    assert ">in use<" in admin.get("/policies").text
    assert admin.post(f"/policies/{policy.id}/deactivation").status_code == 303
    done = db.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(2)).all()
    assert [one.action for one in done] == ["deactivated_policy", "activated_policy"]
    assert {one.actor_id for one in done} == {world.admin.id}


def test_what_cannot_be_activated_is_a_sentence(
    admin: TestClient, db: Session, policy: Policy
) -> None:
    loading.report(db, worker="gpu1:7", said=Report("replay"))
    db.commit()
    answer = admin.post(f"/policies/{policy.id}/activation")
    assert answer.status_code == 409
    assert "an adapter has no effect" in answer.text
