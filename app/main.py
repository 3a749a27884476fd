"""The web app put together: settings, database, templates, middleware, routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app import logs
from app.accounts import routes as accounts
from app.annotation.routes import stream
from app.annotation.routes import workspace as annotation
from app.database.migrate import is_current
from app.database.notifications import Hub
from app.database.postgres import database_url
from app.database.sessions import make_engine, make_reading_sessions, make_sessions
from app.disk import is_full
from app.images.store import ImageStore
from app.models import User
from app.pairs import api as pairs_api
from app.pairs import routes as pairs
from app.policies import api as policies_api
from app.policies import routes as policies
from app.projects import api as projects_api
from app.projects import routes as projects
from app.resources import LOCALES, STATIC, TEMPLATES
from app.samples import api as imports_api
from app.samples import routes as samples
from app.settings import Settings
from app.snapshots import api as snapshots_api
from app.snapshots import routes as snapshots
from app.web import api_description, dependencies, errors
from app.web.assets import Assets
from app.web.fields import fields_of
from app.web.hosts import Hosts
from app.web.middleware import CrossSite, SecurityHeaders, Timing
from app.web.monitoring import serve_metrics
from app.web.pages import Templates
from app.web.rate_limit import RateLimit
from app.web.rights import EndingWithRights, Rights

# A request body beyond this is refused with 413 before it is read, unless its route says more.
MAX_BODY = 8 * 2**20
# Connections kept for what is not a request: streams, health checks, the pages' listeners.
SPARE_CONNECTIONS = 4


def create_app(settings: Settings) -> FastAPI:
    """The app, ready to be served; the database is opened when the server starts it.

    Starting raises RuntimeError when the database lacks migrations, or when demo accounts with
    their published passwords could log in outside demo.
    """
    logs.configure(json=settings.log_json, level=settings.log_level)
    app = FastAPI(
        title="IterDPO Studio",
        lifespan=_lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY,
        # The outermost first.
        middleware=[
            *_proxied(settings),
            Middleware(logs.RequestLog),
            Middleware(Timing),
            Middleware(SecurityHeaders, settings=settings),
            Middleware(Hosts, settings=settings),
            Middleware(CrossSite, settings=settings),
            Middleware(RateLimit, quota=settings.api_requests_per_minute),
            Middleware(EndingWithRights),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=4),
            Middleware(errors.Faults),
        ],
    )
    errors.install(app, recognise=dependencies.recognise)
    for pages in (accounts, projects, samples, annotation, stream, pairs, snapshots, policies):
        app.include_router(pages.router, include_in_schema=False)
    for api in (pairs_api, snapshots_api, projects_api, imports_api, policies_api, api_description):
        app.include_router(api.router)
    assets = Assets(STATIC, reload=settings.reload)
    app.state.settings = settings
    app.state.fields = fields_of(TEMPLATES)
    app.state.templates = Templates(
        TEMPLATES, LOCALES, assets, settings.data / "cache" / "templates"
    )
    app.router.routes += [
        Route("/static/{version}/{path:path}", assets.serve),
        Route("/favicon.ico", lambda _: RedirectResponse(assets.url("favicon.svg"))),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/metrics", serve_metrics),
    ]
    return app


def _proxied(settings: Settings) -> list[Middleware]:
    """What takes the client's address and scheme from the headers of trusted proxies alone."""
    if not settings.trusted_proxies:
        return []
    return [Middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    with database_url(settings) as url:
        engine = make_engine(url, pool=settings.db_pool)
        try:
            app.state.engine = engine
            app.state.sessions = make_sessions(engine)
            app.state.reading_sessions = make_reading_sessions(engine)
            app.state.slots = asyncio.Semaphore(max(1, settings.db_pool - SPARE_CONNECTIONS))
            app.state.image_store = ImageStore(
                settings.images, max_megapixels=settings.max_image_megapixels
            )
            await run_in_threadpool(_refuse_unsafe_start, engine, demo=settings.demo)
            async with Hub(url) as hub:
                app.state.hub = hub
                async with Rights(hub, lambda: app.state.reading_sessions()) as rights:
                    app.state.rights = rights
                    yield
        finally:
            engine.dispose()


def _refuse_unsafe_start(engine: Engine, *, demo: bool) -> None:
    if not is_current(engine):
        raise RuntimeError("The database lacks migrations: run `iterdpo migrate` first.")
    if demo:
        return
    with Session(engine) as db:
        names = db.scalars(
            select(User.name).where(User.demo, User.disabled_at.is_(None)).order_by(User.name)
        ).all()
    if names:
        raise RuntimeError(
            f"Refusing to start: the demo accounts {', '.join(names)} have published passwords. "
            "Disable them (iterdpo user disable NAME), or set ITERDPO_DEMO=1 for a demonstration."
        )


def _healthz(request: Request) -> Response:
    """200 when this process runs and its database answers; for load balancers and `make demo`.

    A demo answers 503 until it is seeded: before that nobody can log in.
    """
    with request.app.state.engine.connect() as connection:
        anybody = connection.execute(text("SELECT EXISTS (SELECT FROM users)")).scalar_one()
    if request.app.state.settings.demo and not anybody:
        return JSONResponse({"status": "the demo is being seeded"}, 503)
    return JSONResponse({"status": "ok"})


def _readyz(request: Request) -> Response:
    """200 when the database has every migration of this code and the disk room; 503 otherwise."""
    if is_full(request.app.state.settings.data):
        return JSONResponse({"status": "the disk is full"}, 503)
    ready = is_current(request.app.state.engine)
    return JSONResponse({"status": "ok" if ready else "migrations missing"}, 200 if ready else 503)
