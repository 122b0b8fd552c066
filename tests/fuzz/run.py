"""Fuzzes the parsers, guided by coverage of our own code: `python -m tests.fuzz.run --inputs 1000000`.

Each target runs in its own process with so much memory and so many seconds an input. An error that the parser does
not declare, a hang or too large an allocation ends it: the input is saved under `fuzz-findings/` and printed.
`--input FILE` gives one file to one target, to see a finding again.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn

import atheris

from tests.fuzz.mutate import mutate

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

FINDINGS = Path("fuzz-findings")
_PACKAGES = ["policies", "datasites", "researcher"]
_DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
LARGEST_SHAPE = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """What came of one target: `inputs` run, `edges` of our code reached, `finding` None where all went well."""

    target: str
    inputs: int
    edges: int
    seconds: float
    finding: str | None

    def __str__(self) -> str:
        numbers = f"{self.inputs:8} inputs  {self.edges:5} edges  {self.seconds:6.1f} s"
        return f"{self.target:20} {numbers}  {'ok' if self.finding is None else 'FAILED'}"


@dataclass(frozen=True)
class _Running:
    target: "Target"
    folder: Path
    began: float


def load_targets() -> "tuple[Target, ...]":
    """The table, with our packages instrumented as they are imported."""
    with atheris.instrument_imports(include=_PACKAGES):
        from tests.fuzz.targets import TARGETS
    return TARGETS


def fuzz_all(
    targets: "Sequence[Target]", inputs: int, findings: Path, workers: int, largest_shape: int = LARGEST_SHAPE
) -> list[Outcome]:
    """Split `inputs` over the targets by their shares; at most `workers` processes at a time, shapes in bytes."""
    findings.mkdir(parents=True, exist_ok=True)
    total = sum(target.share for target in targets)
    waiting, running, outcomes = list(targets), dict[int, _Running](), list[Outcome]()
    while waiting or running:
        while waiting and len(running) < workers:
            target = waiting.pop(0)
            begun = _Running(target, Path(tempfile.mkdtemp(prefix="fuzz-")), time.monotonic())
            child = os.fork()
            if child == 0:
                own = max(1, round(inputs * target.share / total))
                _be_the_fuzzer(target, own, findings, begun.folder, largest_shape)
            running[child] = begun
        ended, status = os.wait()
        outcomes.append(_outcome(running.pop(ended), os.waitstatus_to_exitcode(status)))
        print(outcomes[-1], flush=True)
        if outcomes[-1].finding is not None:
            print(outcomes[-1].finding, flush=True)
    return outcomes


def _outcome(begun: _Running, status: int) -> Outcome:
    said = (begun.folder / "said").read_text(errors="replace")
    shutil.rmtree(begun.folder)
    done, name, seconds = _DONE.search(said), begun.target.name, time.monotonic() - begun.began
    if status == 0 and done is not None:
        return Outcome(name, int(done[1]), int(done[2]), seconds, None)
    return Outcome(name, 0, 0, seconds, f"{name} ended with {status}:\n{said[-6000:]}")


def _be_the_fuzzer(target: "Target", inputs: int, findings: Path, folder: Path, largest_shape: int) -> NoReturn:
    """In the child: first what the parser accepts and what is at and over its limit, then libFuzzer."""
    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    tempfile.tempdir = str(folder)
    corpus, current = folder / "corpus", findings / f"{target.name}-shape-{os.getpid()}"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(seed)
    try:
        oversized = b"" if target.limit is None else bytes(target.limit + 1)
        with atheris.instrument_imports(include=_PACKAGES):
            for seed in target.seeds:
                target.parse(seed)
        _confine(target.memory)
        signal.signal(signal.SIGALRM, _too_slow)
        if oversized and _in_time(target, oversized):
            raise AssertionError(f"{target.name} accepts {len(oversized)} bytes, more than its limit.")
        for data in shapes(target, largest_shape):
            current.write_bytes(data)
            _in_time(target, data)
        current.unlink(missing_ok=True)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # libFuzzer then takes it for its own
        _start_libfuzzer(target, inputs, findings, corpus)
    finally:
        traceback.print_exc()
        if current.exists():
            print(f"The input is in {current}.", flush=True)
        os._exit(1)


def _in_time(target: "Target", data: bytes) -> bool:
    signal.alarm(target.seconds)
    try:
        return target.accepts(data)
    finally:
        signal.alarm(0)


def _start_libfuzzer(target: "Target", inputs: int, findings: Path, corpus: Path) -> None:
    def one(data: bytes) -> None:
        fine = False
        try:
            target.accepts(data)
            fine = True
        finally:
            if not fine:
                kept = findings / f"{target.name}-{sha256(data).hexdigest()[:16]}"
                kept.write_bytes(data)
                print(f"The input, {data[:500]!r}, is in {kept}.", flush=True)

    def variant(data: bytes, most: int, seed: int) -> bytes:
        return mutate(data, target.form, Random(seed), lambda it: atheris.Mutate(it, most), most)

    arguments = [
        "fuzz",
        f"-runs={inputs}",
        f"-timeout={target.seconds}",
        f"-max_len={max(target.longest, *map(len, target.seeds))}",
        f"-artifact_prefix={findings.absolute()}/{target.name}-",
        "-rss_limit_mb=0",
        str(corpus),
    ]
    atheris.Setup(arguments, one, custom_mutator=variant)
    atheris.Fuzz()


def shapes(target: "Target", largest: int) -> list[bytes]:
    """Inputs of the shapes on which parsers are slow or greedy, as large as each takes, at most `largest` bytes."""
    size = min(target.limit or target.longest, largest)
    pieces = (
        *(
            b"[",
            b"[],",
            b'{"a":',
            b"{},",
            b"0,",
            b"9",
            b'"a",',
            b"\\u0000",
            b"a.",
            b'"".',
            b"a\n",
            b"\n",
            b"=",
            b" ",
            b"-",
        ),
        *(b"\xff", b"\0", b"\xe2\x80\x8b", b"a=1\n", b"[[a]]\n", b"[a.b]\n", b"{a=", b"'''", b'"""\\"'),
    )
    plain = [piece * (size // len(piece)) for piece in pieces]
    lists = [
        b"[" + piece * ((size - 2) // len(piece) - 1) + piece.rstrip(b",") + b"]" for piece in (b"[],", b"{},", b"0,")
    ]
    keys = b"{" + b",".join(b'"%07d":0' % number for number in range(size // 13)) + b"}"
    toml = [
        b"a=[" + b"1," * (size // 2 - 3) + b"]",
        b"a" + b".a" * (size // 2 - 3) + b"=1",
        b"a=0x" + b"f" * (size - 4),
    ]
    return [*plain, *lists, keys, *toml]


def _confine(memory: int) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _too_slow(_signal: int, _frame: object) -> None:
    raise TimeoutError("The parser hangs on this input.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all targets together")
    parser.add_argument("--largest-shape", type=int, default=LARGEST_SHAPE, help="in bytes")
    parser.add_argument("--target", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--input", type=Path, help="give this file to the one target named, and do nothing else")
    options = parser.parse_args()
    known = {target.name: target for target in load_targets()}
    if unknown := set(options.target) - known.keys():
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.target or known]
    if options.input is not None:
        print("accepted" if all(it.accepts(options.input.read_bytes()) for it in chosen) else "refused")
        return 0
    began = time.monotonic()
    outcomes = fuzz_all(chosen, options.inputs, FINDINGS, options.workers, options.largest_shape)
    failed = [it.target for it in outcomes if it.finding is not None]
    total = sum(it.inputs for it in outcomes)
    print(f"{total} inputs over {len(chosen)} parsers in {time.monotonic() - began:.0f} s; failed: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
