"""The whole way with real processes: a correction in the app, `iterdpo worker`, the real server."""

import time
from pathlib import Path

import pytest
from sqlalchemy import select

from app.annotation.edits.path import Path as TreePath
from app.domain.segments import RuleKind
from app.models import Draft, Policy, Project, Regeneration, RunState, Sample, SampleImage
from tests.support.factories import add_draft, add_project, add_sample, add_user
from tests.support.studio import Studio as House
from tests.support.studio import studio as house
from tests.vllm.conftest import IMAGES, Running

# The id of an empty line in the tiny model's vocabulary.
EMPTY_LINE = "288"
KEY = "sk-never-in-a-log"


def corrected_draft(house: House) -> int:
    """A draft with two stored images, its second segment corrected through the app; its run."""
    shas = [house.keep_image(image.data) for image in [*IMAGES.values()][:2]]
    with house.sessions.begin() as db:
        user = add_user(db)
        project: Project = add_project(db, user)
        project.rule = RuleKind.PARAGRAPHS
        project.generation = {
            "max_tokens": 1000,
            "seed": 1,
            "temperature": 1.0,
            "logit_bias": {EMPTY_LINE: 8.0},
        }
        sample: Sample = add_sample(db, project=project)
        db.add_all(
            SampleImage(sample_id=sample.id, position=position, sha256=sha256)
            for position, sha256 in enumerate(shas)
        )
        draft: Draft = add_draft(db, sample=sample, user=user)
    assert sample.head_id is not None
    with house.sessions() as db:
        segment = TreePath.load(db, sample.head_id).steps[2]
    with house.client(user) as client:
        answer = client.put(
            f"/drafts/{draft.id}/segments/{segment.id}/correction",
            data={
                "text": "## Slide 2\nThe chart shows 15 percent.",
                "mode": "continue",
                "base_version": str(draft.version),
            },
        )
    assert answer.status_code < 400, answer.text
    with house.sessions() as db:
        return db.scalars(select(Regeneration.id).where(Regeneration.draft_id == draft.id)).one()


def ended(house: House, run: int) -> Regeneration:
    """The run once it has ended."""
    deadline = time.monotonic() + 120
    while True:
        with house.sessions() as db:
            row = db.get_one(Regeneration, run)
        if row.state not in (RunState.QUEUED, RunState.RUNNING):
            return row
        log = (house.data / "worker.log").read_text()
        assert time.monotonic() < deadline, log[-4000:]
        time.sleep(0.1)


@pytest.mark.parametrize("named", ["", "tiny"], ids=["only model", "named model"])
def test_a_correction_is_continued_by_the_worker_of_the_command_line(
    vllm: Running, tmp_path: Path, named: str
) -> None:
    settings = {
        "ITERDPO_ENGINE": "openai",
        "ITERDPO_ENGINE_URL": f"{vllm.url}/v1",
        "ITERDPO_ENGINE_MODEL": named,
        "ITERDPO_ENGINE_KEY": KEY,
    }
    seen = vllm.metric("vllm:mm_cache_queries_total")
    with house(tmp_path / "data", **settings) as studio:
        studio.start("app")
        studio.start("worker")
        run = ended(studio, corrected_draft(studio))
        log = (studio.data / "worker.log").read_text()
        assert run.state is RunState.DONE, f"{run.error}\n{log[-4000:]}"
        assert run.stop_reason in ("stop", "length")
        with studio.sessions() as db:
            path = TreePath.load(db, run.leaf_id)
            own = [step.text for step in path.steps if step.regeneration_id == run.id]
            policy = db.get_one(Policy, run.policy_id)
        assert len(own) > 1
        assert sum(map(len, own)) == run.written
        assert (policy.engine, policy.name[:5]) == ("openai", "tiny@")
        assert vllm.metric("vllm:mm_cache_queries_total") - seen >= 2
        assert KEY not in log
