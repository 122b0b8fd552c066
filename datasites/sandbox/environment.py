"""What of this machine a sandboxed process sees: the system's libraries, Python, and the packages installed here."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

OWN_PACKAGES = Path(__file__).resolve().parents[2]
"""The folder that holds `policies`, `datasites` and `researcher`."""

_OWN_DISTRIBUTION = "cloister"
OWN_NAMES = ("policies", "datasites", "researcher")
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/usr/share/fonts", "/usr/share/zoneinfo",
    "/etc/alternatives", "/etc/fonts",
)  # fmt: skip
_TOP = ("/bin", "/lib", "/lib32", "/lib64", "/libx32")
_COPIED = ("/etc/ld.so.cache", "/etc/localtime")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_MADE = {
    "/etc/passwd": b"job:x:1000:1000:job:/tmp:/bin/false\n",
    "/etc/group": b"job:x:1000:\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
    "/etc/hosts": b"127.0.0.1 localhost\n",
}


@dataclass(frozen=True)
class View:
    """What can be seen without any errand: files and folders at their own places, links, small files, devices."""

    bound: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, bytes], ...]
    devices: tuple[str, ...]

    def bound_below(self, folders: Iterable[str]) -> tuple[str, ...]:
        """What is bound below one of these: a file system that is mounted there would hide it."""
        return tuple(it for it in self.bound if any(it.startswith(f"{folder}/") for folder in folders))


def standing_view() -> View:
    """The system's libraries, Python with its packages, and the least of /etc and /dev. Nothing of ours."""
    paths = [Path(place) for place in _SYSTEM]
    for prefix in {sys.prefix, sys.base_prefix}:
        paths += [Path(prefix) / name for name in ("bin", "lib", "lib64", "pyvenv.cfg")]
    paths += [Path(entry) for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS]
    paths += [Path(top) for top in _TOP if not Path(top).is_symlink()]
    files = dict(_MADE) | {name: Path(name).read_bytes() for name in _COPIED if Path(name).is_file()}
    return View(
        bound=outermost(str(path) for path in paths if path.exists()),
        links=tuple((top, str(Path(top).readlink())) for top in _TOP if Path(top).is_symlink()),
        files=tuple(files.items()),
        devices=tuple(device for device in DEVICES if Path(device).exists()),
    )


def own_packages() -> tuple[str, ...]:
    """The folders of Cloister's own packages."""
    return tuple(str(OWN_PACKAGES / name) for name in OWN_NAMES if (OWN_PACKAGES / name).is_dir())


@cache
def offered_packages() -> tuple[str, ...]:
    """What the environment offers to jobs: `name==version` of each distribution but Cloister's own, sorted."""
    found = {canonicalised(package.metadata["Name"] or ""): package.version for package in distributions()}
    return tuple(sorted(f"{name}=={version}" for name, version in found.items() if name not in ("", _OWN_DISTRIBUTION)))


def canonicalised(name: str) -> str:
    """A distribution's name as it is compared: in lower case, with single hyphens (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Without those that lie in another one."""
    wanted = sorted(set(paths))
    return tuple(one for one in wanted if not any(one.startswith(f"{other}/") for other in wanted))
