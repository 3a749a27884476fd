"""The quality gate before the feed: what it keeps back there, and how that is counted."""

from sqlalchemy.orm import Session

from app.models import Correction, Sample, now
from tests.http.conftest import Script, World
from tests.http.feed import address, rows
from tests.support.pairing import add_pair


def test_the_gate_stands_before_the_api_and_counts(
    script: Script, world: World, db: Session, sample: Sample, three: list[Correction]
) -> None:
    bad = add_pair(db, sample=sample, number=4, text="Bell\x07.", user=world.owner)
    three[0].retracted_at = now()
    db.commit()
    client = script(world.trainer)
    answer = client.get(address(world))
    assert [row["pair_id"] for row in rows(answer.content)] == [str(pair.id) for pair in three[1:]]
    allowed = client.get(address(world, allow="control"))
    assert rows(allowed.content)[-1]["pair_id"] == str(bad.id)
    assert answer.headers["etag"] != allowed.headers["etag"]
    found = client.get(address(world).replace("/pairs?", "/pairs/gate?")).json()
    assert found == {
        "pairs": 2,
        "left_out": {
            "control": {"pairs": 1, "first_pair_ids": [str(bad.id)]},
            "retracted": {"pairs": 1, "first_pair_ids": [str(three[0].id)]},
        },
    }


def test_the_feed_leaves_out_what_a_format_cannot_hold(
    script: Script, db: Session, world: World, sample: Sample
) -> None:
    add_pair(db, sample=sample, number=1, text="Write <image>.\n\n", user=world.owner)
    add_pair(db, sample=sample, number=2, text="Write on.\n\n", user=world.owner)
    db.commit()
    trainer = script(world.trainer)
    assert len(rows(trainer.get(address(world, format="ms-swift")).content)) == 1
    assert len(rows(trainer.get(address(world, format="trl")).content)) == 2
