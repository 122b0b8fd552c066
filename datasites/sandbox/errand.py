"""Errands: what is done in the sandbox, with what in view, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Limits:
    memory_bytes: int
    disk_bytes: int
    cpu_seconds: int
    wall_seconds: float
    threads: int
    text_bytes: int


@dataclass(frozen=True)
class Shown:
    place: str
    path: Path
    descriptor: int


@dataclass(frozen=True)
class Errand:
    program: Literal["script", "inspection"]
    script: str
    files: Mapping[str, bytes]
    shown: tuple[Shown, ...]
    working_folder: str
    collected: str
    environment: Mapping[str, str]
    limits: Limits
    packages: bool = False


@dataclass(frozen=True)
class Output:
    name: str
    size: int


@dataclass(frozen=True)
class Outcome:
    ending: Literal["finished", "failed", "timed-out", "out-of-memory", "too-much-output", "killed", "cancelled"]
    error: str
    outputs: tuple[Output, ...]
    left_out: tuple[str, ...]
    stdout: bytes
    stderr: bytes
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    layers: tuple[str, ...]
