"""P1, a job's escapes: what approved Python does in the sandbox to reach files, processes, programs and the network.

Each act is done outside first, as the same user, where it must succeed: so a test here can fail.
"""

import os
import platform
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.attacks.escape_acts import AS_ROOT, FILES, NETWORK, PROCESSES, Outside, script
from tests.sandbox_client import Sandbox

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="some attacks name system calls of x86-64")


@pytest.fixture(scope="module")
def outside(sandbox: Sandbox) -> Iterator[Outside]:
    key = sandbox.keep("key.pem", b"private")
    path = str(sandbox.folder / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        for end, name in ((named, path), (abstract, "\0" + path), (datagrams, path + ".datagrams")):
            end.bind(name)
        for end in (tcp, named, abstract):
            end.listen(16)
        for name in (path, path + ".datagrams"):
            os.chmod(name, 0o777)  # noqa: PTH101, S103
        yield Outside(sandbox.server, str(key), tcp.getsockname()[1], path)
    for name in (path, path + ".datagrams"):
        os.unlink(name)  # noqa: PTH108


def held(outcome: SimpleNamespace) -> bool:
    """Whether the act was tried and failed, or was the end of its process."""
    return outcome.stdout.startswith("held") or (outcome.ending == "killed" and outcome.stdout == "")


@pytest.mark.parametrize("name", [*FILES, *PROCESSES, *NETWORK])
def test_what_anybody_may_do_outside_fails_inside(sandbox: Sandbox, outside: Outside, name: str) -> None:
    act = (FILES | PROCESSES | NETWORK)[name]
    assert sandbox.outside(script(act, outside, sandbox.folder)).endswith("reached\n")
    outcome = sandbox.run(script(act, outside))
    assert held(outcome), outcome


@pytest.mark.parametrize("name", AS_ROOT)
def test_what_root_may_do_outside_fails_inside(sandbox: Sandbox, outside: Outside, name: str) -> None:
    act = AS_ROOT[name]
    if sandbox.folder.stat().st_uid == 0 and name != "the kernel's tracing":
        assert sandbox.outside(script(act, outside, sandbox.folder)).endswith("reached\n")
    outcome = sandbox.run(script(act, outside))
    assert held(outcome), outcome
