"""A private PostgreSQL server for one directory: started on demand, shared by processes, gone with the last of them.

    with embedded.start() as server:      # starts it, or attaches to the one that runs
        connect(server.dsn)

Every process that called `start` is a *client*: it holds a shared file lock for as long as it lives. A small
supervisor process owns the server, and stops it when no client holds the lock any more. A lock dies with its
process, so `kill -9` of a client leaves nothing behind, and a client that comes back finds its data.

Only the user who started the server, and root, can reach it: it listens on a unix socket in a directory with mode
0700, and on no network address. That directory is the only check; there is no password.

As root the server runs as another user (`postgres`, else `nobody`), because PostgreSQL refuses root. Binaries or
directories that this user cannot enter, such as a virtual environment under /root, are handled: the binaries are
copied once to /var/lib/strandline/binaries, the data is placed in /var/lib/strandline and linked from the directory.
"""

from __future__ import annotations

from strandline.embedded.binaries import locate
from strandline.embedded.launcher import Server, remove, running, start, stop

__all__ = ["Server", "locate", "remove", "running", "start", "stop"]
