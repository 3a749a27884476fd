"""When the app refuses to start, and what it says when it runs."""

from pathlib import Path

import pytest
from pydantic import PostgresDsn
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.accounts import service
from app.database.sessions import make_engine
from app.main import create_app
from app.models import Role
from app.settings import Settings


def start(url: str, data: Path, *, demo: bool) -> None:
    settings = Settings(DATABASE_URL=PostgresDsn(url), data=data, demo=demo)
    with TestClient(create_app(settings)):
        pass


def test_demo_accounts_keep_the_app_from_starting_outside_demo(
    committed_database: str, tmp_path: Path
) -> None:
    engine = make_engine(committed_database)
    with Session(engine) as db:
        user_id = service.add_user(db, name="anna", role=Role.ADMIN, demo=True).user_id
        db.commit()
    with pytest.raises(RuntimeError, match="demo accounts anna have published passwords"):
        start(committed_database, tmp_path, demo=False)
    start(committed_database, tmp_path, demo=True)
    with Session(engine) as db:
        service.disable(db, user_id=user_id)
        db.commit()
    start(committed_database, tmp_path, demo=False)
    engine.dispose()


def test_a_database_without_its_migrations_keeps_the_app_from_starting(
    committed_database: str, tmp_path: Path
) -> None:
    engine = make_engine(committed_database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    with pytest.raises(RuntimeError, match="iterdpo migrate"):
        start(committed_database, tmp_path, demo=True)


def test_health_and_readiness_need_no_log_in(committed_database: str, tmp_path: Path) -> None:
    settings = Settings(DATABASE_URL=PostgresDsn(committed_database), data=tmp_path)
    with TestClient(create_app(settings)) as visitor:
        for path in ("/healthz", "/readyz"):
            answer = visitor.get(path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_demo_is_healthy_once_somebody_can_log_in(
    committed_database: str, tmp_path: Path
) -> None:
    settings = Settings(DATABASE_URL=PostgresDsn(committed_database), data=tmp_path, demo=True)
    engine = make_engine(committed_database)
    with TestClient(create_app(settings)) as visitor:
        assert visitor.get("/healthz").status_code == 503
        with Session(engine) as db:
            service.add_user(db, name="anna", role=Role.ADMIN, demo=True)
            db.commit()
        assert visitor.get("/healthz").status_code == 200
    engine.dispose()


def test_the_api_is_described_for_programs_and_for_people(visitor: TestClient) -> None:
    description = visitor.get("/api/v1/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    assert all(path.startswith("/api/v1/") for path in description["paths"])
    page = visitor.get("/api/v1/docs").text
    for path in description["paths"]:
        assert path in page


def test_there_is_no_other_description(visitor: TestClient) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert visitor.get(path).status_code == 404
