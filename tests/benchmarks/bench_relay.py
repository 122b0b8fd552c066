"""What a relay carries: a large blob both ways over real HTTP, its peak memory meanwhile, and letters a second."""

import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datasites.protocol.blobs import open_stream, seal_stream
from datasites.protocol.envelope import seal
from datasites.protocol.messages import CatalogRequest
from datasites.protocol.sealed import SealedFile
from tests.attacks.relay_scene import running_scene

LARGE_BYTES, SMALL_BYTES, PIECE = 1024**3, 1024**2, secrets.token_bytes(1024**2)
LETTERS = 300


def sealed_file(path: Path, size: int) -> SealedFile:
    """Random content of `size` bytes, sealed into a file without holding it."""
    with path.open("wb") as file:
        return SealedFile(path, seal_stream((PIECE for _ in range(size // len(PIECE))), size, file.write))


def own_bytes(process: int) -> int:
    """The proportional set size of a process: its memory, with what it shares divided by who shares it."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return 1024 * int(text.partition("\nPss:")[2].split()[0])


@contextmanager
def peak_bytes(process: int) -> Iterator[list[int]]:
    """The most memory that a process has while this lasts, looked at fifty times a second."""
    seen, ended = [own_bytes(process)], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen[0] = max(seen[0], own_bytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def measure() -> dict[str, float]:
    """Rates and memory; the client's sealing is done before, its opening is part of the way down."""
    found: dict[str, float] = {}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        scene = stack.enter_context(running_scene(Path(folder)))
        with scene.box("ada") as ada, scene.box("bob") as bob:
            for name, size in (("small", SMALL_BYTES), ("large", LARGE_BYTES)):
                sealed = sealed_file(Path(folder) / name, size)
                with peak_bytes(scene.process.pid) as peak:
                    began = time.perf_counter()
                    ada.put_blob(sealed, 60)
                    sent = time.perf_counter()
                    opened = sum(map(len, open_stream(sealed.reference, bob.get_blob(sealed.reference, 600))))
                    fetched = time.perf_counter()
                assert opened == size
                found[f"{name} blob up, MB/s"] = size / 1e6 / (sent - began)
                found[f"{name} blob down and opened, MB/s"] = size / 1e6 / (fetched - sent)
                found[f"relay's peak memory with the {name} blob, MiB"] = peak[0] / 2**20
            people = scene.people
            letters = [
                seal(people["ada"], people["bob"].card, number + 1, CatalogRequest()) for number in range(LETTERS)
            ]
            began = time.perf_counter()
            for letter in letters[: LETTERS // 3]:
                ada.send([letter])
            one_by_one = time.perf_counter()
            ada.send(letters[LETTERS // 3 :])
            ended = time.perf_counter()
            found["letters a second, one a request"] = LETTERS / 3 / (one_by_one - began)
            found["letters a second, in batches"] = LETTERS * 2 / 3 / (ended - one_by_one)
            began = time.process_time()
            for _ in range(200):
                bob.receive(0, 0)
            found["client's CPU a request, ms"] = 1000 * (time.process_time() - began) / 200
    return found


if __name__ == "__main__":
    for label, value in measure().items():
        print(f"{label:50} {value:10.1f}")
