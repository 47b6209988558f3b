"""A small proxy before the page, which can serve it under a path and drop its connections."""

import socket
import threading
from contextlib import closing, suppress


class Proxy:
    """Passes requests of ``http://127.0.0.1:port/prefix`` on to a server on another port.

    Args:
        server_port: of the server.
        prefix: path under which the server appears, such as "/music".
        timeout_s: ends an answer that is silent for so long, as proxies do.
    """

    def __init__(self, server_port: int, prefix: str = "", timeout_s: float | None = None) -> None:
        self.server_port, self.prefix, self.timeout_s = server_port, prefix, timeout_s
        self.is_open, self.is_over = True, False
        self.open: set[socket.socket] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while not self.is_over:
            with suppress(OSError):
                client, _ = self.listener.accept()
                if self.is_open:
                    threading.Thread(target=self.serve, args=(client,), daemon=True).start()
                else:
                    client.close()

    def drop(self) -> None:
        """Break all connections, and refuse others until ``restore``."""
        self.is_open = False
        for one in [*self.open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_over = True
        self.listener.close()
        self.drop()

    def serve(self, client: socket.socket) -> None:
        """Pass one request and its answer on."""
        with closing(client), socket.create_connection(("127.0.0.1", self.server_port)) as server:
            self.open |= {client, server}
            with suppress(OSError, ValueError):
                head, body = read_head(client)
                server.sendall(self.rewrite(head) + body)
                threading.Thread(target=pump, args=(client, server), daemon=True).start()
                server.settimeout(self.timeout_s)
                pump(server, client)
            self.open -= {client, server}

    def rewrite(self, head: bytes) -> bytes:
        """Head of a request as the server receives it.

        Raises:
            ValueError: a path outside the prefix.
        """
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, version = first.split(" ")
        if not path.startswith(self.prefix):
            raise ValueError(path)
        path = path.removeprefix(self.prefix)
        host = next(line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:"))
        kept = [line for line in lines if not line.lower().startswith("connection:")]
        first = f"{method} {path if path.startswith('/') else f'/{path}'} {version}"
        added = ["Connection: close", f"X-Forwarded-Host: {host}", "X-Forwarded-Proto: http"]
        return "\r\n".join([first, *kept, *added, "", ""]).encode("latin-1")


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Head of a request, and what arrived of its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = client.recv(65536)
        if not piece:
            raise ValueError("no request")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until one side closes."""
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
