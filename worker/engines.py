"""Selects the engine from the settings or the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.database.sessions import Sessions
from app.images.store import ImageStore
from app.settings import Settings
from worker.engine import Engine
from worker.images import StoredImages
from worker.openai import OpenAIEngine, Patience
from worker.replay import ReplayEngine
from worker.vllm import Launch, vllm_engine


@asynccontextmanager
async def engine_for(
    settings: Settings, sessions: Sessions, launch: Launch | None = None
) -> AsyncIterator[Engine]:
    """The engine, closed at the end. launch: a vLLM of the worker's own, whatever the settings say.

    Raises EngineError when vLLM is to be started and is not installed.
    """
    patience = Patience(first_s=settings.engine_patience_s)
    images = StoredImages(sessions, ImageStore(settings.images))
    if launch is not None:
        async with vllm_engine(launch, images=images, patience=patience) as engine:
            yield engine
    elif settings.engine == "openai":
        assert settings.engine_url is not None  # noqa: S101 - Settings refuses it
        key = settings.engine_key
        served = OpenAIEngine(
            settings.engine_url,
            images=images,
            model=settings.engine_model,
            api_key=key.get_secret_value() if key else "",
            patience=patience,
        )
        try:
            yield served
        finally:
            await served.aclose()
    else:
        yield ReplayEngine(sessions, words_per_s=settings.replay_words_per_s)
