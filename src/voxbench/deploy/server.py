"""The invoke contract: an algorithm that answers over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from voxbench.deploy.serving import Folders, get_ready, invoke
from voxbench.deploy.sockets import Algorithm
from voxbench.errors import FileWriteError, VoxbenchError

Tell = Callable[[str], None]


class Server(ThreadingHTTPServer):
    """GET /health gives 200, POST /invoke 201 when the results are in /output.

    Everything is loaded before it listens, so that whoever gets an answer gets it at once. One invocation at a time;
    one that fails is answered with 500 and the reason, and the next may come.
    """

    def __init__(self, algorithm: Algorithm, folders: Folders, port: int, tell: Tell):
        """Get ready and listen.

        Args:
            algorithm: What is asked.
            folders: Where it reads and writes.
            port: The platform's is 4743; 0 takes a free one.
            tell: Told of every failure.

        Raises:
            FileReadError: It needs weights and there are none.
            FileWriteError: The port cannot be listened on.
        """
        solve = get_ready(algorithm, folders)
        self._work = lambda: invoke(algorithm, solve, folders)
        self._tell, self._busy = tell, threading.Lock()
        try:
            super().__init__(("0.0.0.0", port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FileWriteError(f"port {port}: cannot be listened on: {reason}") from error

    def invoked(self) -> tuple[int, str]:
        """Solve what lies in /input now: the status and text of the answer."""
        with self._busy:
            try:
                self._work()
            except Exception as error:  # whatever it is, the next invocation may come
                text = str(error) if isinstance(error, VoxbenchError) else f"{type(error).__name__}: {error}"
                self._tell(text)
                return 500, text
        return 201, ""


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._answer(200 if self.path.rstrip("/") == "/health" else 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(*(self.server.invoked() if self.path.rstrip("/") == "/invoke" else (404, "")))

    def _answer(self, code: int, text: str = "") -> None:
        content = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
        """Say nothing: the platform takes what is said for a warning."""
