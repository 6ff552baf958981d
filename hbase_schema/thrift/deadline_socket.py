"""The socket of a connection to a gateway: a deadline for all that one call waits for, and the largest request.

thriftpy2's socket has a timeout for each `recv`, so a gateway that sends a byte now and then holds a caller for ever.
"""
# mypy: allow-untyped-calls
# (thriftpy2 is typed in part only)

from contextlib import suppress
from errno import EINPROGRESS
from os import strerror
from select import POLLOUT, poll
from socket import MSG_PEEK, SHUT_RDWR, SO_ERROR, SOL_SOCKET
from time import monotonic

from thriftpy2.transport import TSocket

_LENGTH_BYTES = 4
"""What stands before a frame."""


class RequestTooLarge(Exception):
    """A request is larger than a frame that the gateway takes. Nothing of it was sent."""


class DeadlineSocket(TSocket):
    """A socket whose every wait ends at `deadline_s` (of `monotonic`), with TimeoutError.

    `frame_bytes` is the largest frame that the gateway takes, None where it is not framed: such a gateway ends the
    connection at a larger one, and whether a write was in it would be unknown. A framed request is one write.
    """

    def __init__(self, host: str, port: int, frame_bytes: int | None = None) -> None:
        super().__init__(host, port)
        self._frame_bytes = frame_bytes
        self.deadline_s = 0.0
        self.has_sent = False
        """Whether anything was sent since `begin`."""
        self.round_trips = 0
        """Since `begin`."""
        self._is_asking = False
        self._is_interrupted = False

    def begin(self, deadline_s: float) -> None:
        """A new call: nothing of it was sent yet."""
        self.deadline_s, self.has_sent, self.round_trips, self._is_asking = deadline_s, False, 0, False

    def open(self) -> None:
        """Connects by the deadline. OSError: it cannot; of these, TimeoutError: it took too long."""
        self._init_sock()
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        """`socket.connect`, with a look at `interrupt` once it has begun: before, there is nothing to shut down."""
        left_s = self._left_s()
        self.sock.settimeout(0)
        code = self.sock.connect_ex((self.host, self.port))
        if self._is_interrupted:
            raise ConnectionAbortedError("interrupted")
        if code == EINPROGRESS:
            waiting = poll()
            waiting.register(self.sock, POLLOUT)
            if not waiting.poll(left_s * 1000):
                raise TimeoutError("timed out")
            code = self.sock.getsockopt(SOL_SOCKET, SO_ERROR)
        if code:
            raise OSError(code, strerror(code))

    def read(self, sz: int) -> bytes:
        if self._is_asking:
            self._is_asking = False
            self.round_trips += 1
        self._limit_wait()
        data: bytes = super().read(sz)
        return data

    def write(self, buf: bytes) -> None:
        if self._frame_bytes is not None and len(buf) - _LENGTH_BYTES > self._frame_bytes:
            raise RequestTooLarge(
                f"a request of {len(buf) - _LENGTH_BYTES:,} bytes is larger than hbase.frame_bytes "
                f"({self._frame_bytes:,}): raise it, and the gateways' max_frame_size_in_mb with it"
            )
        self._limit_wait()
        self.has_sent = self._is_asking = True
        super().write(buf)

    def is_silent(self) -> bool:
        """Whether it is open, and the other side neither closed it nor said anything that nobody asked for."""
        if self.sock is None:
            return False
        try:
            self.sock.settimeout(0)
            self.sock.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def interrupt(self) -> None:
        """From another thread: whatever is waited for, its connecting too, fails now."""
        self._is_interrupted = True  # first: who begins to connect now looks at it afterwards
        with suppress(OSError, AttributeError):  # not connected, or without a socket: not yet, or not any more
            self.sock.shutdown(SHUT_RDWR)

    def _limit_wait(self) -> None:
        if self.sock is None:
            raise ConnectionError("the connection is closed")
        self.sock.settimeout(self._left_s())

    def _left_s(self) -> float:
        left_s = self.deadline_s - monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s
