"""A TCP proxy that stands between everybody and the relay, and keeps every byte that passes, both ways."""

import asyncio
import contextlib
import threading


class RecordingProxy:
    """Listens on a free port of this machine; `relay_port` is where each connection is carried on to."""

    def __init__(self, relay_port: int) -> None:
        self._relay_port = relay_port
        self._streams: list[bytearray] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._join, "127.0.0.1", 0), self._loop)
        self.url = f"http://127.0.0.1:{listening.result().sockets[0].getsockname()[1]}"
        """The relay's URL as its members know it."""

    def recorded(self) -> list[bytes]:
        """What passed so far: one entry a connection and direction."""
        return [bytes(stream) for stream in self._streams]

    def cut(self) -> None:
        """Break every connection that is open now, in the middle of whatever passes."""
        self._loop.call_soon_threadsafe(self._cut)

    def close(self) -> None:
        """Carry nothing any more."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _join(self, from_member: asyncio.StreamReader, to_member: asyncio.StreamWriter) -> None:
        try:
            from_relay, to_relay = await asyncio.open_connection("127.0.0.1", self._relay_port)
        except OSError:
            to_member.close()
            return
        await asyncio.gather(self._carry(from_member, to_relay), self._carry(from_relay, to_member))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        stream = bytearray()
        self._streams.append(stream)
        self._open.add(target)
        with contextlib.suppress(OSError):
            while piece := await source.read(1 << 16):
                stream += piece
                target.write(piece)
                await target.drain()
        self._open.discard(target)
        target.close()

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
