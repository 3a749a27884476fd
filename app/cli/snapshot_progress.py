"""A snapshot built by the command that asked for it, while the terminal follows."""

import os
import time
from concurrent.futures import Future
from threading import Thread

from app import logs
from app.cli import interrupts
from app.cli.console import note
from app.cli.session import progress
from app.database.sessions import Sessions
from app.exports.snapshot_store import SnapshotStore
from app.images.store import ImageStore
from app.models import SnapshotState
from app.refusals import Conflict
from app.settings import Settings
from app.snapshots import attempts, queries
from app.snapshots.builder import build
from app.snapshots.queries import SnapshotView

_LOOK_S = 0.3


def made_here(
    settings: Settings, sessions: Sessions, store: SnapshotStore, snapshot_id: int
) -> SnapshotView:
    """The snapshot once it is ready. It is built here, unless a worker was faster.

    Raises Conflict with the reason when it could not be made. Ctrl+C gives it back to the queue.
    """

    def look() -> SnapshotView:
        with interrupts.held(), sessions() as db:
            return queries.snapshot_view(db, snapshot_id=snapshot_id)

    # The builder's log lines are not shown while the build succeeds.
    logs.configure(json=settings.log_json, level="WARNING")
    name = f"command line:{os.getpid()}"
    built: Future[bool] = Future()

    def work() -> None:
        try:
            built.set_result(
                build(
                    sessions,
                    snapshot_id=snapshot_id,
                    worker=name,
                    store=store,
                    images=ImageStore(settings.images),
                    lease_s=settings.lease_s,
                )
            )
        except BaseException as error:
            built.set_exception(error)

    try:
        # In a thread, which ends with the process: Ctrl+C comes here, not into a query of the
        # builder. Nor into one of ours: what cleans up after half a query may fail itself.
        Thread(target=work, name="builder", daemon=True).start()
        with progress() as bars:
            bar = bars.add_task("Writing pairs", total=None)
            while (view := look()).live:
                bars.update(bar, completed=view.done, total=view.total or None)
                if built.done():
                    # A worker was faster, or this raises what has gone wrong.
                    built.result()
                time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        with sessions.begin() as db:
            attempts.give_back(db, snapshot_id=snapshot_id, worker=name)
        note("It stays in the queue: a worker builds it, or delete it.")
        raise
    if view.state is SnapshotState.FAILED:
        raise Conflict(f"{view.name} could not be made. {view.error}")
    return view
