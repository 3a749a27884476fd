"""The history of the schema: up, down and up again, and equal to the models."""

import psycopg
from psycopg.types.json import Jsonb

from app.database import migrate
from app.database.sessions import make_engine
from tests.conftest import database_of


def test_migrations_run_up_down_and_up_again(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE up_down_up")
    url = database_of(server_url, "up_down_up")
    migrate.upgrade(url)
    migrate.downgrade(url, "base")
    with psycopg.connect(url) as connection:
        left = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert left == [("alembic_version",)]
    migrate.upgrade(url)


def test_a_rule_in_the_metadata_becomes_the_samples_own(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE old_rules")
    url = database_of(server_url, "old_rules")
    migrate.upgrade(url, "0013")
    facts = "SELECT source_id, metadata{} FROM samples ORDER BY source_id"
    old = [("a", {"rule": "paragraphs", "tags": ["x"]}), ("b", {"rule": "of thumb"}), ("c", {})]
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO projects (name, title, rule, rule_words) VALUES ('p', 'P', 'slides', 80)"
        )
        for source_id, metadata in old:
            connection.execute(
                "INSERT INTO samples (project_id, source_id, title, instruction, metadata,"
                " content_hash) SELECT id, %s, 'T', 'Write.', %s, '' FROM projects",
                (source_id, Jsonb(metadata)),
            )
    migrate.upgrade(url)
    with psycopg.connect(url) as connection:
        assert connection.execute(facts.format(", rule, rule_words")).fetchall() == [
            ("a", {"tags": ["x"]}, "paragraphs", 80),
            ("b", {"rule": "of thumb"}, None, None),
            ("c", {}, None, None),
        ]
        connection.execute("UPDATE projects SET rule = NULL")
    migrate.downgrade(url, "0013")
    with psycopg.connect(url) as connection:
        assert connection.execute(facts.format("")).fetchall() == old
        assert connection.execute("SELECT rule FROM projects").fetchall() == [("slides",)]


def test_models_and_migrations_do_not_drift(database_url: str) -> None:
    migrate.check(database_url)


def test_a_migrated_database_is_current_and_an_empty_one_is_not(
    server_url: str, database_url: str
) -> None:
    migrated, empty = make_engine(database_url), make_engine(server_url)
    assert migrate.is_current(migrated)
    assert not migrate.is_current(empty)
    migrated.dispose()
    empty.dispose()
