"""Pairs to measure with: each segment of each sample corrected in turn, as an annotator would."""

import hashlib
import random
from collections.abc import Iterator, Sequence

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.distances import edited
from app.domain.segments import Piece
from app.images.inspection import ImageFacts
from app.models import Policy, Project, Role, User
from app.projects import service as projects
from app.samples.importing.writing import NewSample, write_samples
from bench.material import sentences

_PROJECT = "bench"


def seed_pairs(
    db: Session, *, samples: int, segments: int, images: list[ImageFacts], annotators: int = 8
) -> Project:
    """A project with samples x segments pairs. Every chosen text stands below the one before it,
    beside a copy of what it replaces; annotators take turns, so the feed mixes their samples."""
    project = projects.add(db, name=_PROJECT)
    users = [_annotator(db, project, number) for number in range(annotators)]
    policy = Policy(name="bench-policy", engine="openai")
    db.add(policy)
    db.flush()
    rng = random.Random(7)
    for start in range(0, samples, 200):
        made = [
            _sample(rng, number, segments, images)
            for number in range(start, min(samples, start + 200))
        ]
        write_samples(db, made, project_id=project.id, policy_id=policy.id)
    _correct_all(db, project.id, [user.id for user in users], policy.id, rng)
    db.execute(text("ANALYZE"))
    return project


def _annotator(db: Session, project: Project, number: int) -> User:
    user = User(name=f"ann{number}", display_name=f"Ann {number}", role=Role.ANNOTATOR)
    db.add(user)
    db.flush()
    projects.add_member(db, project=project, name=user.name)
    return user


def _sample(rng: random.Random, number: int, segments: int, images: list[ImageFacts]) -> NewSample:
    pieces = tuple(
        Piece(f"## Slide {at}\n{sentences(rng, 110)}\n\n", None) for at in range(1, segments + 1)
    )
    return NewSample(
        source_id=f"lecture-{number:06}",
        title=f"Lecture {number}",
        instruction="Write a lecture script for these slides, slide by slide.",
        language="en",
        target_words=None,
        metadata={},
        content_hash=hashlib.sha256(str(number).encode()).digest(),
        images=tuple(images[(number + at) % len(images)] for at in range(min(10, len(images)))),
        pieces=pieces,
    )


def _correct_all(
    db: Session, project_id: int, users: list[int], policy_id: int, rng: random.Random
) -> None:
    rows = db.execute(
        text(
            "SELECT s.id, root.id, array_agg(g.text ORDER BY g.depth), array_agg(g.id ORDER BY"
            " g.depth) FROM samples s JOIN segments root ON root.sample_id = s.id AND root.depth ="
            " 0 JOIN segments g ON g.sample_id = s.id AND g.depth > 0"
            " WHERE s.project_id = :project GROUP BY s.id, root.id ORDER BY s.id"
        ),
        {"project": project_id},
    ).all()
    first = db.execute(text("SELECT max(id) + 1 FROM segments")).scalar_one()
    drafts: list[tuple[object, ...]] = []
    segments: list[tuple[object, ...]] = []
    turns: list[list[tuple[object, ...]]] = [[] for _ in users]
    for number, (sample, root, texts, ids) in enumerate(rows):
        who = number % len(users)
        draft, above = number + 1, root
        for at, old in enumerate(texts):
            new = old.replace(" the ", " this ", 1 + rng.randrange(3)) + "Seen.\n"
            rejected = ids[0]
            if at:
                rejected, first = first, first + 1
                segments.append(
                    (rejected, sample, above, at + 1, old, "model", ids[at], policy_id, None)
                )
            chosen, first = first, first + 1
            segments.append((chosen, sample, above, at + 1, new, "human", None, None, users[who]))
            turns[who].append(
                (
                    draft,
                    sample,
                    users[who],
                    above,
                    chosen,
                    rejected,
                    "rewrite",
                    at == 0,
                    edited(old, new),
                )
            )
            above = chosen
        drafts.append((draft, sample, users[who], above))
    corrections = list(_in_turn(turns))
    connection: psycopg.Connection = db.connection().connection.driver_connection  # type: ignore[assignment] # psycopg's own
    with connection.cursor() as cursor:
        _copy(
            cursor,
            "segments (id, sample_id, parent_id, depth, text, origin, copied_from, policy_id,"
            " author_id)",
            segments,
        )
        _copy(cursor, "drafts (id, sample_id, user_id, head_id)", drafts)
        _copy(
            cursor,
            "corrections (id, draft_id, sample_id, annotator_id, parent_id, chosen_id,"
            " rejected_id, kind, on_policy, edited)",
            [(number, *row) for number, row in enumerate(corrections, 1)],
        )
        for table in ("segments", "drafts", "corrections"):
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"  # noqa: S608 - our names
                f" (SELECT max(id) FROM {table}))"
            )


def _in_turn(turns: list[list[tuple[object, ...]]]) -> Iterator[tuple[object, ...]]:
    for at in range(max(map(len, turns))):
        for rows in turns:
            if at < len(rows):
                yield rows[at]


def _copy(cursor: psycopg.Cursor, into: str, rows: Sequence[tuple[object, ...]]) -> None:
    with cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
