"""A real PostgreSQL for the tests: one embedded server, a migrated template, copies of it."""

import itertools
import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.database.migrate import upgrade
from app.database.postgres import embedded
from app.database.sessions import make_engine

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running server; each process of a parallel run has its own."""
    with embedded(tmp_path_factory.mktemp("server") / "data") as url:
        yield url


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """Name of a migrated database that others are copied from; nobody connects to it."""
    _execute(server_url, "CREATE DATABASE iterdpo_template")
    upgrade(database_of(server_url, "iterdpo_template"))
    return "iterdpo_template"


@pytest.fixture(scope="session")
def database_url(server_url: str, template_database: str) -> str:
    """A migrated database that all rolled-back tests of this process share."""
    return copy_database(server_url, template_database)


@pytest.fixture
def committed_database(server_url: str, template_database: str) -> Iterator[str]:
    """A migrated database of a test's own, for what must commit."""
    url = copy_database(server_url, template_database)
    yield url
    _drop(server_url, url.partition("?")[0].rpartition("/")[2])


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    """The engine of the shared database."""
    engine = make_engine(database_url, pool=8)
    yield engine
    engine.dispose()


@pytest.fixture
def db(engine: Engine) -> Iterator[Session]:
    """A session whose work, commits included, is rolled back after the test."""
    with engine.connect() as connection:
        transaction = connection.begin()
        with Session(
            connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        ) as session:
            yield session
        transaction.rollback()


def database_of(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    base, _, query = url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}?{query}"


def copy_database(server_url: str, template: str) -> str:
    """URL of a new database that begins as a copy of another."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return database_of(server_url, name)


def _drop(server_url: str, name: str) -> None:
    """Drop a database; while autovacuum is at work in it, FORCE is refused: wait for its end."""
    for _ in range(100):
        try:
            _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"The database {name} is in use and cannot be dropped.")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def pytest_sessionstart() -> None:
    """Nothing in a test may read the developer's own settings or reach a model hub."""
    for name in [name for name in os.environ if name.startswith("ITERDPO_")]:
        del os.environ[name]
    os.environ.pop("DATABASE_URL", None)
    os.environ["HF_HUB_OFFLINE"] = "1"
    # A shell starts background jobs with SIGINT ignored, and so would every process of the tests
    # be: an interrupt of theirs would not come.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
