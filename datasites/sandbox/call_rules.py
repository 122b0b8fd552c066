"""Which system calls a locked-down process keeps: a short list for the trainer, a longer one for a researcher's job."""

import errno

from datasites.sandbox.seccomp import ALLOW, KILL, PRETEND, Rules, any_bit, null, one_of, refuse

_CLONE_THREAD, _CLONE_FILES = 0x00010000, 0x00000400
_TERMINAL_QUERY, _CLOSE_ON_EXEC, _KEEP_ON_EXEC, _NON_BLOCKING, _BYTES_WAITING = 0x5401, 0x5451, 0x5450, 0x5421, 0x541B
_DESCRIPTOR_COMMANDS = (0, 1, 2, 3, 4, 1030)
_ASK_FOR_LOCK, _LOCK = (5, 36), (6, 7, 37, 38)
_SET_THREAD_NAME, _GET_THREAD_NAME = 15, 16
_UNIX, _STREAMS = 1, (1, 1 | 0o4000, 1 | 0o2000000, 1 | 0o2004000)

COMPUTING = (
    "read", "write", "readv", "writev", "pread64", "preadv", "lseek", "close", "fstat", "dup", "poll", "ppoll",
    "select", "pselect6", "mmap", "mprotect", "munmap", "mremap", "madvise", "brk", "membarrier", "futex",
    "set_robust_list", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    "sched_yield", "sched_getaffinity", "getcpu", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
    "gettimeofday", "times", "getrusage", "sysinfo", "uname", "getrandom", "getpid", "getppid", "gettid", "getuid",
    "geteuid", "getgid", "getegid", "exit", "exit_group",
)  # fmt: skip
"""Calls that reach nothing but the process's own memory, threads, clocks and already open descriptors."""

FILES = (
    "open", "openat", "openat2", "creat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getcwd",
)  # fmt: skip
"""Calls that Python and its libraries make in passing: a job may; a trainer gets EACCES, and they survive that."""

FATAL = (
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "fork",
    "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "kill", "tkill",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "unshare", "setns", "mount", "bpf", "io_uring_setup",
    "perf_event_open", "userfaultfd", "memfd_create", "kexec_load", "init_module", "finit_module", "add_key",
    "request_key", "keyctl",
)  # fmt: skip
"""Calls that no honest trainer makes: network, other programs, other processes, the kernel itself. They kill it."""

JOB_FILES = (
    "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "symlink",
    "symlinkat", "chmod", "fchmod", "fchmodat", "utime", "utimes", "futimesat", "utimensat", "truncate", "ftruncate",
    "fallocate", "fsync", "fdatasync", "sync_file_range", "getdents", "getdents64", "pwrite64", "pwritev",
    "preadv2", "pwritev2", "sendfile", "copy_file_range", "fadvise64", "statfs", "fstatfs", "getxattr", "lgetxattr",
    "fgetxattr", "listxattr", "llistxattr", "flistxattr", "umask", "msync", "mincore",
)  # fmt: skip
"""Calls on files; which files there are, and which can be written, is for the mounts and Landlock to say."""

JOB_WAITING = (
    "pipe", "pipe2", "dup2", "dup3", "eventfd", "eventfd2", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "rt_sigtimedwait",
    "rt_sigpending", "rt_sigsuspend", "pause", "alarm", "setitimer", "getitimer", "timer_create", "timer_settime",
    "timer_gettime", "timer_getoverrun", "timer_delete", "time", "recvfrom", "getsockopt", "getsockname", "getpeername",
    "shutdown",
)  # fmt: skip
"""Calls by which a process waits for itself: what asyncio and thread pools need."""

JOB_ASKING = (
    "getpgrp", "getpgid", "getsid", "getgroups", "getresuid", "getresgid", "getrlimit", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "getpriority", "set_tid_address",
    "get_robust_list", "wait4", "waitid",
)  # fmt: skip
"""Calls that only ask."""

JOB_DENIED = (
    "fork", "vfork", "tkill", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "unshare", "setns", "mount", "mknod", "mknodat", "link",
    "linkat", "chown", "fchown", "lchown", "fchownat", "bpf", "io_uring_setup", "perf_event_open", "userfaultfd",
    "memfd_create", "shmget", "semget", "msgget", "mq_open", "kexec_load", "init_module", "finit_module", "add_key",
    "request_key", "keyctl", "setrlimit", "setpriority", "sched_setaffinity", "mlock", "munlock", "seccomp",
)  # fmt: skip
"""Calls by which a process would reach another one, the kernel, or memory that no limit counts: EPERM."""

JOB_CLOSED_DOORS = (
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendmsg", "sendmmsg", "recvmsg", "setsockopt",
    "execve", "execveat",
)  # fmt: skip
"""The network and other programs: EACCES."""

JOB_UNSUPPORTED = ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
"""Attributes of files, which libraries that copy files do without: EOPNOTSUPP."""

JOB_PRETENDED = ("flock",)
"""Locks on files: a job has nobody inside to keep out, and a real one would bind and be seen outside; no limit counts
them either."""


def trainer_rules(process: int, door: int | None = None) -> Rules:
    """For a process with the id `process` that computes and answers on open pipes, and does nothing else.

    Allowed: `COMPUTING`; `clone` of a thread; `tgkill` of itself; reading a resource limit; duplicating and marking
    descriptors; naming a thread; receiving descriptors on the socket `door`, if there is one. EACCES: `FILES`. The
    process is killed for `FATAL`, a `clone` of a process and receiving on another descriptor.
    """
    denied = refuse(errno.EPERM)
    receiving = {} if door is None else {"recvmsg": ((one_of(0, door),), KILL)}
    return Rules(
        answers=((COMPUTING, ALLOW), (FILES, refuse(errno.EACCES)), (FATAL, KILL)),
        conditions={
            "clone": ((any_bit(0, _CLONE_THREAD),), KILL),
            "tgkill": ((one_of(0, process),), KILL),
            "ioctl": ((one_of(1, _TERMINAL_QUERY, _CLOSE_ON_EXEC),), denied),
            "fcntl": ((one_of(1, *_DESCRIPTOR_COMMANDS),), denied),
            "prctl": ((one_of(0, _SET_THREAD_NAME),), denied),
            "prlimit64": ((null(2),), denied),
            **receiving,
        },
    )


def job_rules(process: int) -> Rules:
    """For a process with the id `process` that runs a researcher's Python: files, threads, and nothing outside itself.

    Nothing kills but a foreign architecture: what is not allowed fails with an error that Python shows. A pair of
    connected Unix stream sockets may be made (asyncio wakes itself by one), and no other socket. All threads share
    their open files, which would else be as many times as allowed.
    """
    denied, closed = refuse(errno.EPERM), refuse(errno.EACCES)
    itself = ((one_of(0, process),), denied)
    return Rules(
        answers=(
            ((*COMPUTING, *FILES, *JOB_FILES, *JOB_WAITING, *JOB_ASKING), ALLOW),
            (JOB_DENIED, denied),
            (JOB_CLOSED_DOORS, closed),
            (JOB_UNSUPPORTED, refuse(errno.EOPNOTSUPP)),
            (JOB_PRETENDED, PRETEND),
        ),
        conditions={
            "clone": ((any_bit(0, _CLONE_THREAD), any_bit(0, _CLONE_FILES)), denied),
            "kill": itself,
            "tgkill": itself,
            "ioctl": (
                (one_of(1, _TERMINAL_QUERY, _CLOSE_ON_EXEC, _KEEP_ON_EXEC, _NON_BLOCKING, _BYTES_WAITING),),
                denied,
            ),
            "fcntl": ((one_of(1, *_DESCRIPTOR_COMMANDS, *_ASK_FOR_LOCK),), denied),
            "prctl": ((one_of(0, _SET_THREAD_NAME, _GET_THREAD_NAME),), denied),
            "prlimit64": ((null(2),), denied),
            "socketpair": ((one_of(0, _UNIX), one_of(1, *_STREAMS)), closed),
            "sendto": ((null(4),), closed),
        },
        pretended={"fcntl": (1, _LOCK)},
    )
