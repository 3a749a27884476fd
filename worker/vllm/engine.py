"""The engine `vllm`: a server that this worker starts, and the engine `openai` on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.openai import ImageSource, OpenAIEngine, Patience
from worker.vllm.server import Launch, VllmServer

# So long check() waits before it says that the server is still starting.
_CHECK_S = 30.0


class VllmEngine(OpenAIEngine):
    """Like OpenAIEngine; check() waits for the server and says why it does not come."""

    name = "vllm"

    def __init__(
        self, server: VllmServer, *, images: ImageSource, patience: Patience | None = None
    ) -> None:
        super().__init__(server.url, images=images, patience=patience)
        self.server = server

    async def check(self) -> None:
        """Raises EngineError with what is wrong with the server, or that it is still starting."""
        await self.server.ready(_CHECK_S)
        await super().check()


@asynccontextmanager
async def vllm_engine(
    launch: Launch, *, images: ImageSource, patience: Patience | None = None
) -> AsyncIterator[VllmEngine]:
    """An engine with a server of its own, which ends with the context.

    Raises EngineError when vLLM is not installed.
    """
    async with VllmServer(launch) as server:
        engine = VllmEngine(server, images=images, patience=patience)
        try:
            yield engine
        finally:
            await engine.aclose()
