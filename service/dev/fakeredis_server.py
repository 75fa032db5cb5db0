"""fakeredis over TCP, in a process of its own, for machines without a redis-server.

Run as a file: it prints the port that it listens on, and serves until it is ended.
"""

# Packages of development only, and names private to their pinned version.
from fakeredis._clients import _tcp_server as fake
from fakeredis._helpers import SimpleError
from redis import ResponseError


class Handler(fake.TCPFakeRequestHandler):
    """Answers an error and goes on, where its parent hangs up; no pushes between replies."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve one connection until its end."""
        self.connection.setblocking(True)  # the parent cuts large replies short
        while data := self.connection.recv(65536):
            try:
                self.current_client.get_socket().sendall(data)
            except Exception as bug:  # noqa: BLE001 - fakeredis's own, and the end of its parser
                self.writer.dump(SimpleError(f"ERR fakeredis: {bug!r}"))
                return
            while self.current_client.can_read():
                self.writer.dump(self._reply())

    def _reply(self) -> object:
        try:
            return self.current_client.read_response()
        except ResponseError as error:
            # A line break, of a Lua error say, would end the reply early.
            return SimpleError(" ".join(f"{error.status_code or ''} {error}".split()))


def main() -> None:
    """Serve on a free port of loopback."""
    fake.TcpFakeServer.request_queue_size = 128  # with 5, a burst of clients waits for seconds
    server = fake.TcpFakeServer(("127.0.0.1", 0))
    server.RequestHandlerClass = Handler
    print(server.server_address[1], flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()


if __name__ == "__main__":
    main()
