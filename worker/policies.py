"""Policies of this worker: the active adapter if its server loads it, otherwise an earlier one.

Adapters are loaded when the worker starts, when an admin activates one, and after every failure of
the server, which may have been a restart. A run that began with an adapter continues with it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app import regenerations
from app.database.notifications import Watch
from app.domain.messages import Message
from app.policies import loading
from app.policies.loading import Adapter, Report
from worker.database import Database, first_line, is_away
from worker.engine import AdapterError, Engine, EngineError, PolicyFacts, TakesAdapters

# So often a worker says that it lives.
HEARTBEAT_S = 5.0
_RETRY_S = 1.0


class Policies:
    """The policies of one worker. worker: its name. watch: of loading.CHANGED, begun before.

    current: what new regenerations are written with. held: all that it can write with just now.
    """

    def __init__(self, database: Database, watch: Watch, engine: Engine, *, worker: str) -> None:
        self.current = 0
        self.held: frozenset[int] = frozenset()
        self._database = database
        self._watch = watch
        self._engine = engine
        self._worker = worker
        self._loading = asyncio.Lock()
        self._log = structlog.get_logger("worker").bind(worker=worker)

    async def refresh(self) -> None:
        """Register the engine's own model, load the adapters that are wanted, choose, and say so.

        Raises a temporary EngineError when the server goes away meanwhile; what an adapter lacks
        is said in the worker's row and in the log.
        """
        async with self._loading:
            # What has changed until now is read below.
            await self._watch.wait(0)
            facts = self._engine.policy
            base_id = await self._database.do(
                lambda db: regenerations.register_policy(db, **asdict(facts))
            )
            loaded, refusals, notices = await self._load(facts)
            activated = [one for one in loaded if one.activated]
            chosen = activated[0].id if activated else base_id
            refused = next((one for one in refusals if one.active), None)
            said = Report(
                engine=facts.engine,
                base_model=facts.base_model,
                served_name=facts.served_name,
                policy_id=chosen,
                refused_id=refused.id if refused else None,
                problem=refusals[refused] if refused else " ".join(notices) or None,
            )
            ids = [one.id for one in loaded]
            await self._database.do(
                lambda db: loading.report(
                    db,
                    worker=self._worker,
                    said=said,
                    loaded=ids,
                    template_hash=facts.template_hash,
                )
            )
            if chosen != self.current:
                name = activated[0].name if activated else facts.name
                self._log.info("policy chosen", policy=name)
            self.current, self.held = chosen, frozenset([base_id, *ids])

    async def follow(self, doubt: Callable[[], None]) -> None:
        """Do so again whenever an admin has changed something, until cancelled.

        doubt: called when the server does not answer, instead of trying again here.
        """
        missed = False
        while True:
            try:
                woken = await self._watch.wait(_RETRY_S if missed else HEARTBEAT_S)
                if woken or missed or not await self._heard():
                    missed = True
                    await self.refresh()
                    missed = False
            except EngineError as error:
                missed = False
                self._log.warning("adapters are not loaded", reason=error.message)
                doubt()
            except SQLAlchemyError as error:
                if not is_away(error):
                    self._log.warning("policies not read", reason=first_line(error))

    async def trouble(self, problem: str) -> None:
        """The engine is not usable, and this is why; nothing is written with it meanwhile."""
        said = Report(engine=self._engine.policy.engine, problem=problem)
        await self._database.do(lambda db: loading.report(db, worker=self._worker, said=said))

    async def leave(self) -> None:
        """The worker ends."""
        await self._database.do(lambda db: loading.left(db, worker=self._worker))

    async def _heard(self) -> bool:
        return await self._database.do(lambda db: loading.heard(db, worker=self._worker))

    async def _load(
        self, facts: PolicyFacts
    ) -> tuple[list[Adapter], dict[Adapter, str], list[str]]:
        """The adapters that the server has now, those that it does not take and why, notices."""
        # A worker that was told to use one of its server's adapters keeps to it.
        if not isinstance(self._engine, TakesAdapters) or facts.adapter:
            return [], {}, []
        names = {facts.base_model, facts.served_name}
        adapters = await self._database.do(lambda db: loading.wanted(db, base_models=names))
        loaded: list[Adapter] = []
        refusals: dict[Adapter, str] = {}
        notices: list[str] = []
        for adapter in adapters:
            try:
                _require_template(adapter, facts)
                notice = await self._engine.load(adapter)
            except AdapterError as error:
                refusals[adapter] = error.message
                self._log.error("adapter refused", policy=adapter.name, reason=error.message)
            else:
                loaded.append(adapter)
                if notice:
                    notices.append(notice)
                    self._log.warning("adapter not checked", policy=adapter.name, reason=notice)
        return loaded, refusals, notices


def _require_template(adapter: Adapter, facts: PolicyFacts) -> None:
    """A policy is a model and how it is asked: with another chat template it is another one."""
    if adapter.template_hash and adapter.template_hash != facts.template_hash:
        raise AdapterError(
            Message(
                "“%(name)s” was used before with another chat template. Start the server with "
                "that template, or add the adapter again under another name.",
                name=adapter.name,
            )
        )
