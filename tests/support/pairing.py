"""Pairs and images for tests, written as rows: what the pages and exports of pairs start from."""

import io

from PIL import Image as Pillow
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.corrections import Kind
from app.domain.distances import edited
from app.domain.tree import Origin
from app.images.store import ImageStore
from app.models import Correction, Draft, Image, Sample, SampleImage, Segment, User
from tests.support.factories import add_draft, add_user


def add_pair(
    db: Session, *, sample: Sample, number: int, text: str, user: User | None = None
) -> Correction:
    """A pair at the segment of that number of the sample's imported output."""
    user = user or add_user(db)
    rejected = db.scalars(
        select(Segment)
        .where(Segment.sample_id == sample.id, Segment.depth == number)
        .order_by(Segment.id)
    ).first()
    assert rejected is not None
    chosen = Segment(
        sample_id=sample.id,
        parent_id=rejected.parent_id,
        depth=number,
        text=text,
        origin=Origin.HUMAN,
        author_id=user.id,
        ends_output=rejected.ends_output,
    )
    db.add(chosen)
    db.flush()
    draft = db.scalar(select(Draft).where(Draft.sample_id == sample.id, Draft.user_id == user.id))
    correction = Correction(
        draft_id=(draft or add_draft(db, sample=sample, user=user)).id,
        sample_id=sample.id,
        annotator_id=user.id,
        parent_id=rejected.parent_id,
        chosen_id=chosen.id,
        rejected_id=rejected.id,
        kind=Kind.REWRITE,
        on_policy=True,
        edited=edited(rejected.text, text),
    )
    db.add(correction)
    db.flush()
    return correction


def show_images(db: Session, store: ImageStore, sample: Sample, *colours: str) -> list[str]:
    """Give the sample images of these colours, PNG and JPEG in turn; returns their SHA-256."""
    shown = []
    for position, colour in enumerate(colours):
        file = io.BytesIO()
        Pillow.new("RGB", (64, 48), colour).save(file, "PNG" if position % 2 == 0 else "JPEG")
        facts = store.add(file.getvalue()).facts
        if db.get(Image, facts.sha256) is None:
            db.add(
                Image(
                    sha256=facts.sha256,
                    format=facts.format,
                    width=facts.width,
                    height=facts.height,
                    size=facts.size,
                )
            )
            db.flush()
        db.add(SampleImage(sample_id=sample.id, position=position, sha256=facts.sha256))
        shown.append(facts.sha256)
    db.flush()
    return shown
