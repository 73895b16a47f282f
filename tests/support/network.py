"""A loopback network that can be broken: a TCP proxy in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Weather(enum.Enum):
    """What becomes of the bytes."""

    FAIR = "fair"  # they arrive
    SILENT = "silent"  # they vanish, and nobody is told: a half-open network
    REFUSING = "refusing"  # new connections are reset, old ones too


class _Link:
    """One connection through the network: two sockets, and what was lost on it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = list(writers)
        self.has_lost = False
        self.is_silent = False

    def silence(self) -> None:
        self.is_silent = True

    def reset(self) -> None:
        for writer in self.writers:
            with contextlib.suppress(OSError, ValueError):
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()


class Network:
    """Forwards a port of its own to *host* and *port*, as long as the weather allows."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._weather = Weather.FAIR
        self._delay = 0.0
        self._left: int | None = None
        self._hides_ends = False
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.bytes_seen = 0
        """Bytes that came from the server, whether they arrived or not."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, sock=self._listener))

    # The weather

    def heal(self) -> None:
        """Forward again; connections that have lost bytes are reset."""
        self._do(self._heal)

    def swallow(self) -> None:
        """Let every byte vanish from now on, in both directions."""
        self._do(lambda: self._set(Weather.SILENT))

    def heal_for_new(self) -> None:
        """Forward again; connections that have lost bytes stay silent."""
        self._do(self._heal_for_new)

    def silence(self) -> None:
        """Let the bytes of the connections that there are vanish; new ones fare well."""
        self._do(lambda: list(map(_Link.silence, list(self._links))))

    def refuse(self) -> None:
        """Reset every connection, also the ones to come."""
        self._do(lambda: self._set(Weather.REFUSING))
        self.drop()

    def drop(self) -> None:
        """Reset the connections that there are."""
        self._do(lambda: list(map(_Link.reset, list(self._links))))

    def delay(self, seconds: float) -> None:
        """Keep every byte for *seconds*."""
        self._do(lambda: setattr(self, "_delay", seconds))

    def truncate(self, after: int) -> None:
        """Close the connection on which the server has sent *after* bytes, and any later one.

        A driver may try again in another way: without TLS, for example.
        """
        self._do(lambda: setattr(self, "_left", after))

    def hide_ends(self) -> None:
        """Let nobody know that the server has closed a connection; what it said arrives."""
        self._do(lambda: setattr(self, "_hides_ends", True))

    @property
    def connections(self) -> int:
        """How many connections go through."""
        return len(self._links)

    def close(self) -> None:
        """Reset everything and end the thread."""
        self._call(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    # Inside, on the thread

    async def _shut_down(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.reset()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
        # What was accepted at the last moment has no task yet.
        transports: Any = getattr(self._loop, "_transports", {})
        for transport in list(transports.values()):
            transport.abort()
        await asyncio.sleep(0)

    def _set(self, weather: Weather) -> None:
        self._weather = weather

    def _heal(self) -> None:
        self._weather, self._delay, self._left = Weather.FAIR, 0.0, None
        for link in list(self._links):
            if link.has_lost:
                link.reset()

    def _heal_for_new(self) -> None:
        self._weather = Weather.FAIR
        for link in self._links:
            link.is_silent = link.has_lost

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._weather is Weather.REFUSING:
                return
            if self._weather is Weather.SILENT:
                link.has_lost = True
                await reader.read(1)
                await asyncio.Event().wait()
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            link.writers.append(there_writer)
            copies = [
                asyncio.ensure_future(self._copy(link, reader, there_writer, from_server=False)),
                asyncio.ensure_future(self._copy(link, there_reader, writer, from_server=True)),
            ]
            try:
                await asyncio.gather(*copies)
            finally:
                for copy in copies:
                    copy.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            link.reset()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _copy(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        *,
        from_server: bool,
    ) -> None:
        while data := await source.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            if from_server:
                self.bytes_seen += len(data)
            if self._weather is not Weather.FAIR or link.is_silent:
                link.has_lost = True
                continue
            if from_server and self._left is not None:
                data, self._left = data[: self._left], max(self._left - len(data), 0)
                target.write(data)
                if not self._left:
                    await target.drain()
                    target.close()
                    raise ConnectionAbortedError
                continue
            target.write(data)
            await target.drain()
        if self._weather is Weather.SILENT or link.is_silent:
            # Not even the end of the connection gets through.
            link.has_lost = True
            await asyncio.Event().wait()
        if from_server and self._hides_ends:
            return  # the other direction goes on, until the client closes
        if target.can_write_eof():
            target.write_eof()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _do(self, act: Callable[[], Any]) -> None:
        async def run() -> None:
            act()

        self._call(run())


@contextlib.contextmanager
def broken_network(host: str, port: int) -> Iterator[Network]:
    """Give a network to *host* and *port* that is closed at the end."""
    network = Network(host, port)
    try:
        yield network
    finally:
        network.close()
