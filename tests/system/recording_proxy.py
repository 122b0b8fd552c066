"""A TCP proxy that stands between everybody and the relay, and keeps every byte that passes, both ways."""

import socket
import threading


class RecordingProxy:
    """Listens on a free port of this machine; `relay_port` is where each connection is carried on to."""

    def __init__(self, relay_port: int) -> None:
        self._relay_port = relay_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._streams: list[bytearray] = []
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The relay's URL as its members know it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def recorded(self) -> list[bytes]:
        """What passed so far: one entry a connection and direction."""
        return [bytes(stream) for stream in self._streams]

    def close(self) -> None:
        """Carry nothing any more."""
        self._listener.close()
        for end in list(self._open):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                member, _ = self._listener.accept()
            except OSError:
                return
            try:
                relay = socket.create_connection(("127.0.0.1", self._relay_port))
            except OSError:
                member.close()
                continue
            self._open |= {member, relay}
            for source, target in ((member, relay), (relay, member)):
                stream = bytearray()
                self._streams.append(stream)
                threading.Thread(target=self._carry, args=(source, target, stream), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, stream: bytearray) -> None:
        try:
            while piece := source.recv(1 << 16):
                stream += piece
                target.sendall(piece)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                end.close()
