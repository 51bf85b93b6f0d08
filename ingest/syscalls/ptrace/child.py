"""
What runs between the tracer and the program: waits until it is traced, has its system calls filtered, becomes it.

Started by file name with ``-I`` so that nothing of the traced program's environment matters; imports nothing of ours.
Arguments: the seccomp program in hexadecimal digits, the path of the program, its arguments from argv[0] on.
"""

import ctypes
import os
import signal
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
FAILED = 127


class _Program(ctypes.Structure):
    _fields_ = (("size", ctypes.c_ushort), ("code", ctypes.c_void_p))


def install(code: bytes) -> None:
    """Filter the system calls of this process from now on; raises OSError when the kernel does not allow it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(held))
    given = (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0)
    if libc.prctl(*given) and (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, None, 0, 0) or libc.prctl(*given)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(arguments: list[str]) -> None:
    """Stop, be let go on by the tracer, and become the program."""
    code, path, *argv = arguments
    os.kill(os.getpid(), signal.SIGSTOP)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        install(bytes.fromhex(code))
        os.execv(path, argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"lanner: {path}: {error.strerror}", file=sys.stderr)
        os._exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
