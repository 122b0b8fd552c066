"""What a job does to escape: acts in Python, each of which succeeds outside and must fail inside."""

from dataclasses import dataclass
from pathlib import Path

START = """
import ctypes, mmap, os, platform, resource, signal, socket, stat, subprocess, sys, tempfile
SERVER, KEY, PORT, UNIX, INSIDE = {server}, {key!r}, {port}, {unix!r}, {inside}
library = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
def check(answer):
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
def call(*numbers):
    return check(library.syscall(*numbers))
def unix(kind, address):
    end = socket.socket(socket.AF_UNIX, kind)
    end.connect(address)
def datagram_by_a_pair(address):
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(b"x", address)
def program(*words):
    assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout
def forked():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
def machine_code(code):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    if ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() < 0:
        raise OSError
def within(*steps):
    child = 0 if INSIDE else os.fork()  # so that what is changed outside is changed in a process of its own
    if child == 0:
        for step in steps:
            step()
        INSIDE or os._exit(0)
    elif os.waitpid(child, 0)[1]:
        raise OSError
"""
END = """
try:
    {act}
except BaseException as error:
    print("held", type(error).__name__)
else:
    print("reached")
"""
FILES = {
    "read a key": "open(KEY).read()",
    "read a key by climbing": "open('../' * 30 + KEY).read()",
    "read a key through a folder that is shown": "open('/usr/lib/../..' + KEY).read()",
    "look at a key": "os.stat(KEY)",
    "list the folder of another data set": "os.listdir(os.path.dirname(KEY))",
    "write beside a key": "open(KEY + '.new', 'w').close()",
    "take a key away": "os.rename(KEY, KEY + '.old') or os.rename(KEY + '.old', KEY)",
    "watch the datasite's environment": "open(f'/proc/{SERVER}/environ', 'rb').read()",
    "read a password in the environment": "os.environ['SITE_PASSWORD']",
    "read the environment it was started with": "open('/proc/self/environ', 'rb').read()",
    "open the datasite's memory": "open(f'/proc/{SERVER}/mem', 'rb')",
    "list processes": "os.listdir('/proc')",
    "list devices of the machine": "os.listdir('/sys')",
    "open a terminal": "os.open('/dev/ptmx', os.O_RDWR)",
    "link to a file": "open('one', 'w').close() or os.link('one', 'two') or os.unlink('one') or os.unlink('two')",
    "make a pipe in a folder": "os.mkfifo('pipe') or os.unlink('pipe')",
    "make a file in memory that no limit counts": "os.memfd_create('x')",
    "make memory that no limit counts": "call(29, 0, 4096, 0o1600)",
    "undo its limits": "resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))",
}
PROCESSES = {
    "signal the datasite": "os.kill(SERVER, 0)",
    "signal the datasite's thread": "call(234, SERVER, SERVER, 0)",
    "signal everybody": "os.kill(-1, 0)",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "get a handle on the datasite": "os.pidfd_open(SERVER)",
    "be traced": "within(lambda: check(library.ptrace(0, 0, 0, 0)))",
    "read another process's memory": "call(310, os.getppid(), None, 0, None, 0, 0)",
    "slow the datasite down": "os.setpriority(os.PRIO_PROCESS, SERVER, 1)",
    "fork": "forked()",
    "run a program": "program()",
    "become a program": "within(lambda: os.execv(sys.executable, [sys.executable, '-c', '']))",
    "spawn a program": "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {}), 0)",
    "make a process by clone3": "within(lambda: (ctypes.memset(buffer, 0, 88), call(435, buffer, 88)))",
    "get a ring of system calls": "call(425, 4, buffer)",
    "get a key ring": "call(250, 0, -3, 1)",
    "make namespaces": "within(lambda: check(library.unshare(0x10000000)))",
    "make a network": "within(lambda: check(library.unshare(0x50000000)))",
    "mount": "within(lambda: check(library.unshare(0x10020000)), "
    "lambda: check(library.mount(b'x', b'/tmp', b'tmpfs', 0, None)))",
    "call in the 32-bit form": "within(lambda: machine_code(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3'))",
}
NETWORK = {
    "TCP": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).bind(('::1', 0))",
    "a listening socket": "socket.create_server(('127.0.0.1', 0))",
    "a Unix socket": "unix(socket.SOCK_STREAM, UNIX)",
    "an abstract Unix socket": "unix(socket.SOCK_STREAM, '\\0' + UNIX)",
    "a Unix datagram": "unix(socket.SOCK_DGRAM, UNIX + '.datagrams')",
    "a Unix datagram from a pair": "datagram_by_a_pair(UNIX + '.datagrams')",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "names": "socket.gethostbyname('localhost') == '127.0.0.1' and socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
}
AS_ROOT = {
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)",
    "a change of the system's files": "open('/etc/passwd', 'a').close()",
    "a device": "os.mknod('null', stat.S_IFCHR | 0o600, os.makedev(1, 3)) or os.unlink('null')",
    "another root": "within(lambda: os.chroot('/tmp'))",
    "another user": "within(lambda: os.setuid(1))",
    "the network of the machine": "within(lambda: check(library.setns(os.open('/proc/self/ns/net', 0), 0)))",
    "the name of the machine": "check(library.sethostname(*(lambda n: (n, len(n)))(os.uname().nodename.encode())))",
    "the kernel's tracing": "call(321, 0, ctypes.memset(buffer, 0, 128) and buffer, 0) or os.abort()",
}


@dataclass(frozen=True)
class Outside:
    """What lies outside: the datasite's process, a key, a port that listens, a Unix socket."""

    server: int
    key: str
    port: int
    unix: str


def script(act: str, outside: Outside, folder: Path | None = None) -> str:
    """The act as it is done inside; or outside, in a `folder` of its user."""
    start = START.format(**outside.__dict__, inside=folder is None)
    move = "" if folder is None else f"os.chdir({str(folder)!r})"
    return start + move + END.format(act=act)
