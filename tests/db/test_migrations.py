"""The history of the schema: up, down and up again, and equal to the models."""

import psycopg

from app import migrate
from app.db import make_engine
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
