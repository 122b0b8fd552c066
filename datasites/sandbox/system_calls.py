"""Linux system calls by name for the two architectures that a datasite runs on, and which of them a child keeps."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """The kernel's name for an instruction set (AUDIT_ARCH_…, linux/audit.h) and its system call numbers."""

    audit: int
    numbers: Mapping[str, int]


X86_64 = Architecture(
    audit=0xC000003E,
    numbers={
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
        "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
        "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20, "access": 21, "select": 23,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "nanosleep": 35, "getpid": 39, "socket": 41,
        "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "recvmsg": 47, "bind": 49, "listen": 50,
        "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "exit": 60, "kill": 62, "uname": 63,
        "fcntl": 72, "getcwd": 79, "creat": 85, "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99,
        "times": 100, "ptrace": 101, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
        "sigaltstack": 131, "prctl": 157, "mount": 165, "init_module": 175, "gettid": 186, "tkill": 200, "futex": 202,
        "sched_getaffinity": 204, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
        "clock_nanosleep": 230, "exit_group": 231, "tgkill": 234, "kexec_load": 246, "add_key": 248, "request_key": 249,
        "keyctl": 250, "openat": 257, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "pselect6": 270,
        "ppoll": 271, "unshare": 272, "set_robust_list": 273, "accept4": 288, "preadv": 295, "perf_event_open": 298,
        "prlimit64": 302, "sendmmsg": 307, "setns": 308, "getcpu": 309, "process_vm_readv": 310,
        "process_vm_writev": 311, "finit_module": 313, "seccomp": 317, "getrandom": 318, "memfd_create": 319,
        "bpf": 321, "execveat": 322, "userfaultfd": 323, "membarrier": 324, "statx": 332, "rseq": 334,
        "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_open": 434, "openat2": 437, "pidfd_getfd": 438,
        "faccessat2": 439,
    },
)  # fmt: skip

AARCH64 = Architecture(
    audit=0xC00000B7,
    numbers={
        "getcwd": 17, "dup": 23, "fcntl": 25, "ioctl": 29, "mount": 40, "faccessat": 48, "openat": 56, "close": 57,
        "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "preadv": 69, "pselect6": 72,
        "ppoll": 73, "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "unshare": 97,
        "futex": 98, "set_robust_list": 99, "nanosleep": 101, "kexec_load": 104, "init_module": 105,
        "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "ptrace": 117, "sched_getaffinity": 123,
        "sched_yield": 124, "restart_syscall": 128, "kill": 129, "tkill": 130, "tgkill": 131, "sigaltstack": 132,
        "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153, "uname": 160, "getrusage": 165,
        "prctl": 167, "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getppid": 173, "getuid": 174, "geteuid": 175,
        "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179, "socket": 198, "socketpair": 199, "bind": 200,
        "listen": 201, "accept": 202, "connect": 203, "sendto": 206, "sendmsg": 211, "recvmsg": 212, "brk": 214,
        "munmap": 215, "mremap": 216, "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "execve": 221,
        "mmap": 222, "mprotect": 226, "madvise": 233, "perf_event_open": 241, "accept4": 242, "prlimit64": 261,
        "setns": 268, "sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273,
        "seccomp": 277, "getrandom": 278, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282,
        "membarrier": 283, "statx": 291, "rseq": 293, "pidfd_send_signal": 424, "io_uring_setup": 425,
        "pidfd_open": 434, "openat2": 437, "pidfd_getfd": 438, "faccessat2": 439,
    },
)  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = {"x86_64": X86_64, "aarch64": AARCH64}

LANDLOCK_CREATE_RULESET = 444
LANDLOCK_RESTRICT_SELF = 446

ALLOWED = (
    "read", "write", "readv", "writev", "pread64", "preadv", "lseek", "close", "fstat", "dup", "poll", "ppoll",
    "select", "pselect6", "mmap", "mprotect", "munmap", "mremap", "madvise", "brk", "membarrier", "futex",
    "set_robust_list", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    "sched_yield", "sched_getaffinity", "getcpu", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
    "gettimeofday", "times", "getrusage", "sysinfo", "uname", "getrandom", "getpid", "getppid", "gettid", "getuid",
    "geteuid", "getgid", "getegid", "exit", "exit_group",
)  # fmt: skip
"""Calls that reach nothing but the process's own memory, threads, clocks and already open descriptors."""

REFUSED = (
    "open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getcwd",
)  # fmt: skip
"""Calls that Python and its libraries make in passing and survive the failure of: they get EACCES."""

FATAL = (
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "fork",
    "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "kill", "tkill",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "unshare", "setns", "mount", "bpf", "io_uring_setup",
    "perf_event_open", "userfaultfd", "memfd_create", "kexec_load", "init_module", "finit_module", "add_key",
    "request_key", "keyctl",
)  # fmt: skip
"""Calls that no honest child makes: network, other programs, other processes, the kernel itself. They kill."""
