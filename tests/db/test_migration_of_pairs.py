"""Pairs from before they could rest: which count after the upgrade, and what texts stand for."""

from collections.abc import Iterator

import psycopg
import pytest

from app.database import migrate
from tests.conftest import database_of

# Segment 3 is corrected (10), deleted (12 follows 2); 4 was corrected (20), undone; 2 was corrected
# (30) in another draft and split there (31, 32): the second half was corrected (33), with no pair.
_BEFORE = """
    INSERT INTO users (name, display_name, role) VALUES ('ann', 'Ann', 'annotator'),
        ('ben', 'Ben', 'annotator');
    INSERT INTO projects (name, title, rule) VALUES ('p', 'P', 'slides');
    INSERT INTO samples (project_id, source_id, title, instruction, content_hash)
        VALUES (1, 's', 'S', 'Write.', 'x');
    INSERT INTO segments (id, sample_id, parent_id, depth, text, origin, copied_from, author_id)
        OVERRIDING SYSTEM VALUE VALUES
        (1, 1, NULL, 0, '', 'root', NULL, NULL),
        (2, 1, 1, 1, 'One. Two.', 'model', NULL, NULL),
        (3, 1, 2, 2, 'Three.', 'model', NULL, NULL),
        (4, 1, 3, 3, 'Four.', 'model', NULL, NULL),
        (10, 1, 2, 2, 'Third.', 'human', NULL, 1),
        (11, 1, 10, 3, 'Four.', 'model', 4, NULL),
        (12, 1, 2, 2, 'Four.', 'model', 11, NULL),
        (20, 1, 3, 3, 'Fourth.', 'human', NULL, 1),
        (30, 1, 1, 1, 'First. Second.', 'human', NULL, 2),
        (31, 1, 1, 1, 'First. ', 'human', 30, 2),
        (32, 1, 31, 2, 'Second.', 'human', 30, 2),
        (33, 1, 31, 2, 'The second.', 'human', NULL, 2);
    INSERT INTO drafts (sample_id, user_id, head_id, version) VALUES (1, 1, 12, 5), (1, 2, 33, 4);
    INSERT INTO corrections (draft_id, sample_id, annotator_id, parent_id, chosen_id, rejected_id,
                             kind, on_policy, edited, retracted_at, retract_reason) VALUES
        (1, 1, 1, 3, 20, 4, 'rewrite', true, 2, now(), 'The annotator undid it.'),
        (1, 1, 1, 2, 10, 3, 'rewrite', true, 4, NULL, NULL),
        (1, 1, 1, 2, 12, 3, 'delete', true, 9, NULL, NULL),
        (2, 1, 2, 1, 30, 2, 'rewrite', true, 9, NULL, NULL);
    INSERT INTO verdicts (draft_id, segment_id, verdict) VALUES (1, 12, 'accepted');
    INSERT INTO revisions (draft_id, version, action, segment_id, head_id, previous_head_id)
        VALUES (1, 4, 'delete', 10, 12, 11), (2, 2, 'keep', 30, 30, 2), (2, 3, 'split', 30, 32, 30),
               (2, 4, 'keep', 33, 33, 32);
"""


@pytest.fixture
def upgraded(server_url: str) -> Iterator[psycopg.Connection]:
    """A database with such pairs, brought up to date."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE pairs_before")
    url = database_of(server_url, "pairs_before")
    migrate.upgrade(url)
    migrate.downgrade(url, "0015")
    with psycopg.connect(url) as connection:
        connection.execute(_BEFORE)
    migrate.upgrade(url)
    with psycopg.connect(url) as connection:
        yield connection


def test_pairs_whose_text_is_gone_rest(upgraded: psycopg.Connection) -> None:
    rows = upgraded.execute(
        "SELECT chosen_id, kind, rested_at IS NULL, retracted_at IS NULL FROM corrections"
        " ORDER BY id"
    ).fetchall()
    assert rows == [
        (20, "rewrite", False, True),
        (10, "rewrite", False, True),
        (12, "delete", True, True),
        (30, "rewrite", False, True),
    ]
    texts = upgraded.execute("SELECT string_agg(text, '|' ORDER BY id) FROM segments").fetchone()
    assert texts is not None
    assert "Third.|Four.|Four.|Fourth.|First. Second.|First. |Second.|The second." in texts[0]
    rows = upgraded.execute("SELECT id, spans FROM segments WHERE spans IS NOT NULL").fetchall()
    spans = {row[0]: row[1] for row in rows}
    changed = "changed"
    assert spans == {
        10: [[changed, 0, 0, 6, [[3, 0, 6]], False]],
        12: [["deleted", 0, 0, 0, [[3, 0, 6]], False], ["kept", 12, 0, 5, [], False]],
        20: [[changed, 0, 0, 7, [[4, 0, 5]], False]],
        30: [[changed, 0, 0, 14, [[2, 0, 9]], False]],
        31: [[changed, 30, 0, 7, [[2, 0, 9]], False]],
        32: [[changed, 30, 7, 14, [], True]],
        33: [[changed, 0, 0, 11, [], True]],
    }
