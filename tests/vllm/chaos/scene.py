"""Where it happens: who works at what, until everything has been asked for and read."""

import asyncio
import random
from collections import Counter

from sqlalchemy import select

from app.domain.segments import RuleKind
from app.models import Regeneration, SampleImage
from tests.support.factories import add_draft, add_project, add_sample, add_user
from tests.support.studio import Studio
from tests.vllm.chaos.annotators import Annotator, Office
from tests.vllm.chaos.blows import Storm
from tests.vllm.conftest import IMAGES

ANNOTATORS = 16
TIMEOUT_S = 600.0
# Paragraphs of some words, and an end after some paragraphs: the ids of an empty line and of
# <|im_end|> in the tiny model's vocabulary.
GENERATION = {
    "max_tokens": 500,
    "seed": 1,
    "temperature": 1.0,
    "logit_bias": {"288": 7.5, "4082": 8.0},
}
TEXTS = [f"Paragraph {number} of the text that was imported.\n\n" for number in range(1, 6)]


def furnish(house: Studio) -> list[tuple[int, str]]:
    """A draft and a log-in for each annotator; every other sample has images."""
    shas = [house.keep_image(image.data) for image in [*IMAGES.values()][:3]]
    furnished = []
    for number in range(ANNOTATORS):
        with house.sessions.begin() as db:
            user = add_user(db)
            project = add_project(db, user)
            project.rule, project.generation = RuleKind.PARAGRAPHS, GENERATION
            sample = add_sample(db, project=project, texts=TEXTS, ends_output=False)
            if number % 2:
                db.add_all(
                    SampleImage(sample_id=sample.id, position=position, sha256=sha256)
                    for position, sha256 in enumerate(shas)
                )
            draft = add_draft(db, sample=sample, user=user)
        furnished.append((draft.id, house.log_in(user)))
    return furnished


async def play(
    office: Office, storm: Storm, drafts: list[tuple[int, str]], rng: random.Random
) -> list[str]:
    """The annotators and the storm, until both have come to their end."""
    people = [
        Annotator(office, draft_id=draft_id, cookie=cookie, rng=random.Random(rng.random()))
        for draft_id, cookie in drafts
    ]
    try:
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(person.work())
            blows = group.create_task(storm.blow())
    except BaseException:
        print(story(office))
        raise
    return blows.result()


def story(office: Office) -> str:
    """What happened, in some lines."""
    with office.house.sessions() as db:
        runs = db.scalars(select(Regeneration).order_by(Regeneration.id)).all()
    states = Counter(run.state.value for run in runs)
    attempts = Counter(run.attempt for run in runs)
    unsettled = [run.id for run in runs if run.finished_at is None]
    connections = sum(one.reader.connections for one in office.asked)
    return "\n".join(
        (
            f"{len(runs)} regenerations: {dict(states)}",
            f"how many took so many attempts: {dict(sorted(attempts.items()))}",
            f"{sum(run.written for run in runs)} characters; rolled back: {len(office.undone)}; "
            f"connections of readers: {connections}; not ended: {unsettled}",
        )
    )
