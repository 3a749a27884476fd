"""A filled database as an earlier version had it: its schema, and the rows that fit into it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from app.database import migrate
from tests.conftest import database_of

# Rows of the schema's own, and of the job queue, which has none once all texts are written.
_NOT_COPIED = ("alembic_version", "procrastinate_")
_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""

Columns = dict[str, list[str]]


def columns_of(url: str) -> Columns:
    """The columns of each table that people's work is in."""
    found: Columns = defaultdict(list)
    with psycopg.connect(url) as db:
        for table, column in db.execute(
            """
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' ORDER BY table_name, ordinal_position
            """
        ):
            if not table.startswith(_NOT_COPIED):
                found[table].append(column)
    return dict(found)


def rows_of(url: str, columns: Columns) -> dict[str, list[tuple[object, ...]]]:
    """Everything that stands in these columns, by table."""
    with psycopg.connect(url) as db:
        return {
            table: db.execute(_selected(table, names)).fetchall()
            for table, names in columns.items()
        }


def aged(server_url: str, source: str, *, revision: str) -> str:
    """A new database at that revision, with the rows of `source` as far as its columns hold them.

    It was migrated forwards, as every old database was. Foreign keys are checked at the end.
    """
    name = f"aged_{revision}"
    with psycopg.connect(server_url, autocommit=True) as db:
        db.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        db.execute(f'CREATE DATABASE "{name}"'.encode())
    url = database_of(server_url, name)
    migrate.upgrade(url, revision)
    present, old = columns_of(source), columns_of(url)
    with psycopg.connect(source) as read, psycopg.connect(url) as write, _unguarded(write, old):
        for table, names in old.items():
            kept = [column for column in names if column in present.get(table, ())]
            _copy(read, write, table, kept)
    return url


def _copy(
    read: psycopg.Connection, write: psycopg.Connection, table: str, columns: list[str]
) -> None:
    fields = sql.SQL(", ").join(map(sql.Identifier, columns))
    target = sql.Identifier(table)
    out = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(fields, target)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(target, fields)
    with read.cursor().copy(out) as source, write.cursor().copy(into) as sink:
        for data in source:
            sink.write(data)
    if "id" in columns:
        write.execute(
            sql.SQL(
                "SELECT setval(sequence, greatest(1, (SELECT max(id) FROM {}))) FROM "
                "pg_get_serial_sequence({}, 'id') AS sequence WHERE sequence IS NOT NULL"
            ).format(target, sql.Literal(table))
        )


@contextmanager
def _unguarded(db: psycopg.Connection, columns: Columns) -> Iterator[None]:
    """Without triggers and foreign keys, which want rows in an order; keys are checked after."""
    keys = db.execute(_FOREIGN_KEYS).fetchall()
    for table, name, _ in keys:
        db.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
    for table in columns:
        db.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER'.encode())
    yield
    for table in columns:
        db.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER USER'.encode())
    for table, name, definition in keys:
        db.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'.encode())


def _selected(table: str, columns: list[str]) -> sql.Composed:
    fields = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("SELECT {0} FROM {1} ORDER BY ({0})::text").format(fields, sql.Identifier(table))
