"""A cable to the database that can be pulled: one port, whatever server is behind it."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading

from launch.database.embedded import EmbeddedDatabase


class Proxy:
    """
    Pass connections on to a database; a context manager.

    Parameters
    ----------
    database : EmbeddedDatabase
        May be stopped and started again on another port.
    """

    def __init__(self, database: EmbeddedDatabase) -> None:
        self.database = database
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connected = True
        self.pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.lock = threading.Lock()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self.listener.close()

    @property
    def uri(self) -> str:
        """Of the database by way of this port."""
        return re.sub(r"(127\.0\.0\.1:)\d+", rf"\g<1>{self.port}", self.database.uri)

    def cut(self) -> None:
        """Break all connections and take no new ones."""
        self.connected = False
        with self.lock:
            for pair in self.pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Take connections again."""
        self.connected = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        running = self.database._server if self.connected else None
        if running is None:
            client.close()
            return
        with contextlib.suppress(OSError), client:
            server = socket.create_connection(("127.0.0.1", running.port))
            pair = (client, server)
            with self.lock:
                self.pairs.add(pair)
            with server, contextlib.suppress(OSError):
                self._pump(client, server)
            with self.lock:
                self.pairs.discard(pair)

    @staticmethod
    def _pump(client: socket.socket, server: socket.socket) -> None:
        while True:
            for end in select.select([client, server], [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                (server if end is client else client).sendall(data)
