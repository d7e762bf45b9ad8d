"""Drop a process's rights for good, before it decodes an untrusted file.

Linux only. Limits of memory, time and file size apply on every machine; the filter of system calls
(seccomp: Documentation/userspace-api/seccomp_filter.rst) on x86-64 and ARM64.
"""

import ctypes
import platform
import resource
import signal
import struct

_SET_DEATH_SIGNAL, _SET_SECCOMP, _NO_NEW_PRIVILEGES, _FILTER_MODE = 1, 22, 38, 2
_MAX_FILES = 64

# What decoding needs: descriptors that are open already, memory, threads of its own, clocks, exit.
# Name -> number on x86-64, on ARM64 (asm/unistd_64.h, asm-generic/unistd.h).
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "exit": (60, 93),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_CLONE_THREAD = 0x00010000
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_ALLOW, _REFUSE, _NO_SUCH_CALL = 0x7FFF0000, 0x00050001, 0x00050026  # refused: EPERM, ENOSYS
# Opcodes of BPF (linux/bpf_common.h) and offsets in `struct seccomp_data`.
_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16


class Sandbox:
    """A sandbox, prepared while files may still be opened; `enter` applies it."""

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        with open("/proc/self/statm") as file:
            self._own_bytes = int(file.read().split()[0]) * resource.getpagesize()
        self._code = ctypes.create_string_buffer(_filter())
        address = ctypes.addressof(self._code)
        program = struct.pack("@HP", (len(self._code) - 1) // 8, address)
        self._program = ctypes.create_string_buffer(program)

    def enter(self, seconds: int, memory: int) -> None:
        """Allow only computing and the descriptors that are open, from now on.

        Args:
            seconds: Processor time left; the process is killed then.
            memory: Bytes of address space beyond those that the process has.
        """
        self._prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        for kind, soft, spare in (
            (resource.RLIMIT_AS, self._own_bytes + memory, 0),
            (
                resource.RLIMIT_CPU,
                seconds,
                1,
            ),  # SIGXCPU, and SIGKILL a second later
            (resource.RLIMIT_FSIZE, 0, 0),
            (resource.RLIMIT_NOFILE, _MAX_FILES, 0),
            (resource.RLIMIT_CORE, 0, 0),
        ):
            hard = resource.getrlimit(kind)[1]
            hard = soft + spare if hard == resource.RLIM_INFINITY else min(soft + spare, hard)
            resource.setrlimit(kind, (min(soft, hard), hard))
        self._prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if len(self._code) > 1:
            self._prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.addressof(self._program), 0, 0)


def _filter() -> bytes:
    """Return the BPF filter of this machine's system calls; empty where no numbers are listed."""
    if platform.machine() not in _ARCHITECTURES or struct.calcsize("P") != 8:
        return b""
    column, architecture = _ARCHITECTURES[platform.machine()]

    def step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("=HBBI", code, then, otherwise, value)

    steps = [step(_LOAD, _ARCHITECTURE), step(_IF_EQUAL, architecture, 1), step(_RETURN, _REFUSE)]
    steps += [step(_LOAD, _NUMBER)]
    for numbers in _ALLOWED.values():
        steps += [step(_IF_EQUAL, numbers[column], 0, 1), step(_RETURN, _ALLOW)]
    # The C library tries clone3 first, whose flags are in memory that a filter cannot read.
    steps += [step(_IF_EQUAL, _CLONE3[column], 0, 1), step(_RETURN, _NO_SUCH_CALL)]
    steps += [step(_IF_EQUAL, _CLONE[column], 1), step(_RETURN, _REFUSE)]
    steps += [step(_LOAD, _FIRST_ARGUMENT), step(_IF_ANY_BIT, _CLONE_THREAD, 0, 1)]
    return b"".join([*steps, step(_RETURN, _ALLOW), step(_RETURN, _REFUSE)])
