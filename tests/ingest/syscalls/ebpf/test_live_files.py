"""Files on a real kernel: what is told of opens and changes, and the ways to hide a path."""

import os
import shutil
from pathlib import Path

import pytest

from ingest.syscalls.call import Call
from ingest.syscalls.ebpf.numbers import NUMBERS
from ingest.syscalls.flags import constants
from tests.ingest.syscalls.ebpf.live import Watch, needs_ebpf

pytestmark = needs_ebpf
FLAGS = constants("file_flags")


def opened(calls: list[Call], path: str) -> Call:
    found = [call for call in calls if call.name == "openat" and call.params[2] == path]
    assert len(found) == 1, [call.params for call in calls if call.name == "openat"]
    return found[0]


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("os.O_RDONLY", "O_RDONLY"),
        ("os.O_WRONLY | os.O_APPEND", "O_WRONLY O_APPEND"),
        ("os.O_RDWR | os.O_TRUNC", "O_RDWR O_TRUNC"),
        ("os.O_RDONLY | os.O_DIRECT", "O_RDONLY O_DIRECT"),
    ],
)
def test_an_open_tells_flags_device_and_inode(watch: Watch, tmp_path: Path, mode: str, names: str) -> None:
    file = tmp_path / "file"
    file.touch()
    call = opened(watch.run(f"import os; os.open({str(file)!r}, {mode})").calls, str(file))
    number, dirfd, path, flags, _, dev, ino = call.params
    assert number >= 3
    assert (dirfd, path) == (-100, str(file))
    assert flags == sum(FLAGS[name] for name in names.split()) | FLAGS["O_CLOEXEC"]
    assert (dev, ino) == (os.stat(file).st_dev, os.stat(file).st_ino)
    assert call.fd is not None
    assert (call.fd.num, call.fd.typechar, call.fd.name, call.fd.real_path) == (number, "f", str(file), str(file))


def test_a_created_file_is_told_from_one_that_was_there(watch: Watch, tmp_path: Path) -> None:
    code = "import os; [os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o640) for _ in range(2)]"
    first, second = [call for call in watch.run(code, str(tmp_path / "new")).all("openat") if "new" in call.params[2]]
    assert first.params[3] & FLAGS["O_F_CREATED"]
    assert not second.params[3] & FLAGS["O_F_CREATED"]
    assert first.params[4] == 0o640


def test_an_open_that_fails_tells_the_path_asked_for(watch: Watch) -> None:
    code = "import os\ntry: os.open('/nowhere/to//be/../found', os.O_RDONLY)\nexcept OSError: pass"
    call = opened(watch.run(code).calls, "/nowhere/to//be/../found")
    assert call.params[0] == -2
    assert call.fd is not None
    assert (call.fd.num, call.fd.typechar, call.fd.name) == (-1, "f", "/nowhere/to/found")


def test_relative_paths_start_where_the_kernel_says(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").touch()
    code = """
import os
import shutil
os.chdir(sys.argv[1])
os.open('inner/../inner/file', os.O_RDONLY)
fd = os.open('inner', os.O_RDONLY)
os.open('./file', os.O_RDONLY, dir_fd=fd)
"""
    seen = watch.run(code, str(tmp_path))
    full = str(tmp_path / "inner" / "file")
    for path in ("inner/../inner/file", "./file"):
        call = opened(seen.calls, path)
        assert call.fd is not None
        assert (call.fd.name, call.fd.name_raw, call.fd.real_path) == (full, path, full)
    directory = opened(seen.calls, "inner")
    assert directory.extra is not None
    assert directory.extra["proc.cwd"] == str(tmp_path)
    inner = opened(seen.calls, "./file")
    assert inner.extra is not None
    assert inner.extra["dirfd"] == str(tmp_path / "inner")


def test_a_link_does_not_hide_the_file(watch: Watch, tmp_path: Path) -> None:
    link = tmp_path / "harmless"
    link.symlink_to("/etc/shadow")
    call = opened(watch.run("open(sys.argv[1], 'rb')", str(link)).calls, str(link))
    assert call.fd is not None
    assert (call.fd.name, call.fd.real_path) == (str(link), "/etc/shadow")
    assert call.extra is not None
    assert call.extra["fd.realpath"] == "/etc/shadow"


def test_depth_does_not_hide_a_file(watch: Watch, tmp_path: Path) -> None:
    code = """
import os
os.chdir(sys.argv[1])
for _ in range(250):
    os.mkdir('d')
    os.chdir('d')
open('file', 'w').close()
"""
    call = opened(watch.run(code, str(tmp_path)).calls, "file")
    assert call.fd is not None
    assert call.fd.real_path == f"{tmp_path}{'/d' * 250}/file"
    assert call.fd.name == call.fd.real_path


def test_mounts_are_crossed(watch: Watch, tmp_path: Path) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b'none', b'/', None, 0x44000, None) == 0
base = sys.argv[1]
os.mkdir(base + '/mounted')
assert libc.mount(b'some', (base + '/mounted').encode(), b'tmpfs', 0, None) == 0
os.makedirs(base + '/mounted/deep')
open(base + '/mounted/deep/file', 'w')
assert libc.umount2((base + '/mounted').encode(), 2) == 0
"""
    seen = watch.run(code, str(tmp_path))
    path = f"{tmp_path}/mounted/deep/file"
    call = opened(seen.calls, path)
    assert call.fd is not None
    assert call.fd.real_path == path
    assert [each.params for each in seen.all("mount") if each.params[1] == "some"] == [
        (0, "some", f"{tmp_path}/mounted", "tmpfs", 0)
    ]
    assert seen.one("umount2").params[:2] == (0, f"{tmp_path}/mounted")
    assert seen.one("unshare").params == (0, constants("clone_flags")["CLONE_NEWNS"])


def test_a_path_on_a_page_that_was_not_there_is_read(watch: Watch, tmp_path: Path) -> None:
    """At the entry of the call the text cannot be read, as nothing touched its page before."""
    text = tmp_path / "text"
    text.write_bytes(b"/etc/shadow\0")
    code = """
import ctypes, mmap
libc = ctypes.CDLL(None)
file = open(sys.argv[1], 'rb')
page = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
libc.syscall(257, -100, ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page))), 0, 0)
"""
    assert opened(watch.run(code, str(text)).calls, "/etc/shadow").params[0] >= 3


def test_a_path_that_changes_meanwhile_does_not_deceive_the_kernel(tmp_path: Path) -> None:
    watch = Watch([NUMBERS["openat"]])  # two threads that wait for each other would fill the ring with futex
    for name in ("aaaa", "bbbb"):
        (tmp_path / name).touch()
    code = """
import ctypes, os, threading
libc = ctypes.CDLL(None)
one, other = (f'{sys.argv[1]}/{name}'.encode() for name in ('aaaa', 'bbbb'))
path = ctypes.create_string_buffer(one)
stop = False
def flip():
    while not stop:
        path[:len(one)] = one
        path[:len(one)] = other
sys.setswitchinterval(1e-5)
thread = threading.Thread(target=flip)
thread.start()
opened = 0
for _ in range(3000):
    fd = libc.syscall(257, -100, ctypes.c_void_p(ctypes.addressof(path)), 0, 0)
    if fd >= 0:  # the kernel may have read half of one and half of the other
        opened += 1
        os.close(fd)
stop = True
thread.join()
print(opened)
"""
    inodes = {os.stat(tmp_path / name).st_ino: str(tmp_path / name) for name in ("aaaa", "bbbb")}
    try:
        seen = watch.run(code, str(tmp_path))
    finally:
        watch.driver.close()
    calls = [call for call in seen.all("openat") if call.params[0] >= 0 and call.params[6] in inodes]
    assert len(calls) == int(seen.printed) > 1000
    assert all(call.extra and call.extra["fd.realpath"] == inodes[call.params[6]] for call in calls)


def test_calls_of_32_bit_programs_are_seen(tmp_path: Path) -> None:
    """An ``int 0x80`` in a 64-bit program, too: no tracepoint of a call fires for it."""
    watch = Watch([NUMBERS["open"]])
    file = tmp_path / "by-the-old-way"
    file.touch()
    code = """
import ctypes, mmap, os
where = mmap.mmap(-1, 8192, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
at = ctypes.addressof(ctypes.c_char.from_buffer(where))
assert at < 1 << 32
where[4096:4096 + len(sys.argv[1])] = sys.argv[1].encode()
code = b'\\x53\\xb8' + (5).to_bytes(4, 'little') + b'\\xbb' + (at + 4096).to_bytes(4, 'little')
code += b'\\x31\\xc9\\x31\\xd2\\xcd\\x80\\x5b\\xc3'
where[:len(code)] = code
print(ctypes.CFUNCTYPE(ctypes.c_int)(at)())
"""
    seen = watch.run(code, str(file))
    watch.driver.close()
    call = seen.one("open", str(file))
    assert call.params[0] == int(seen.printed)
    assert call.fd is not None
    assert call.fd.real_path == str(file)


def test_changes_of_files_are_told(watch: Watch, tmp_path: Path) -> None:
    code = """
import os
import shutil
os.chdir(sys.argv[1])
open('a', 'w').close()
os.rename('a', 'b')
os.chmod('b', 0o4755)
os.link('b', 'c')
os.symlink('b', 'd')
os.mkdir('e', 0o700)
os.chown('c', 0, 0)
os.unlink('c')
os.rmdir('e')
os.mknod('f', 0o10600)
"""
    seen = watch.run(code, str(tmp_path))
    mode = constants("chmod_mode")
    assert seen.one("rename").params == (0, "a", "b")
    assert seen.one("chmod").params == (0, "b", 0o4755)
    assert seen.one("chmod").params[2] & mode["S_ISUID"]
    assert seen.one("link").params == (0, "b", "c")
    assert seen.one("symlink").params == (0, "b", "d")
    assert seen.one("mkdir").params == (0, "e", 0o700)
    assert seen.one("chown").params == (0, "c", 0, 0)
    assert seen.one("unlink").params == (0, "c")
    assert seen.one("rmdir").params == (0, "e")
    assert seen.one("mknodat").params == (0, -100, "f", constants("mknod_mode")["S_IFIFO"] | 0o600, 0)
    assert all(seen.one(name).extra == {"proc.cwd": str(tmp_path)} for name in ("rename", "unlink", "mkdir"))


def test_calls_relative_to_directories_tell_them(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "x").touch()
    code = """
import os
import shutil
one, other = (os.open(f'{sys.argv[1]}/{name}', os.O_RDONLY) for name in ('from', 'to'))
os.rename('x', 'y', src_dir_fd=one, dst_dir_fd=other)
os.unlink('y', dir_fd=other)
print(one, other)
"""
    seen = watch.run(code, str(tmp_path))
    one, other = map(int, seen.printed.split())
    renamed = seen.one("renameat")
    assert renamed.params == (0, one, "x", other, "y")
    assert renamed.extra == {"olddirfd": str(tmp_path / "from"), "newdirfd": str(tmp_path / "to")}
    gone = seen.one("unlinkat")
    assert gone.params == (0, other, "y", 0)
    assert gone.fd is not None
    assert (gone.fd.num, gone.fd.typechar, gone.fd.name) == (other, "d", str(tmp_path / "to"))


def test_reads_and_writes_name_the_file(watch: Watch, tmp_path: Path) -> None:
    code = """
import os
import shutil
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(fd, b'x' * 200)
os.lseek(fd, 0, 0)
os.read(fd, 3)
os.pread(fd, 5, 7)
os.close(fd)
print(fd)
"""
    seen = watch.run(code, str(tmp_path / "file"))
    fd = int(seen.printed)
    wrote = next(call for call in seen.all("write") if call.params[2] == fd)
    assert wrote.params == (200, b"x" * 80, fd, 200)
    assert wrote.fd is not None
    assert wrote.fd.name == str(tmp_path / "file")
    assert [call.params for call in seen.all("read") if call.params[1] == b"xxx"] == [(3, b"xxx", fd, 3)]
    assert seen.one("pread").params == (5, b"xxxxx", fd, 5, 7)


def test_descriptors_that_are_no_files_have_their_kind(watch: Watch) -> None:
    code = """
import ctypes, os, select, signal
libc = ctypes.CDLL(None)
os.pipe()
select.epoll()
libc.eventfd(0, 0)
libc.timerfd_create(1, 0)
libc.inotify_init1(0)
os.pidfd_open(os.getpid())
"""
    seen = watch.run(code)
    kinds = {"pipe2": "p", "epoll_create1": "l", "eventfd2": "e", "timerfd_create": "t", "inotify_init1": "i"}
    for name, char in kinds.items():
        made = seen.one(name).fd
        assert made is not None
        assert made.typechar == char
    process = seen.one("pidfd_open").fd
    assert process is not None
    assert (process.typechar, process.name) == ("P", f"/proc/{seen.pid}")
    pipe = seen.one("pipe2")
    assert pipe.params[1] + 1 == pipe.params[2]
    assert pipe.params[3] > 0


def test_layers_of_containers_are_told_apart(watch: Watch, tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    shutil.copy("/bin/true", tmp_path / "lower" / "shipped")
    code = """
import ctypes, os, shutil
libc = ctypes.CDLL(None, use_errno=True)
base = sys.argv[1]
assert libc.unshare(0x20000) == 0
assert libc.mount(b'none', b'/', None, 0x44000, None) == 0
where = base + '/merged'
data = f'lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work'
if libc.mount(b'overlay', where.encode(), b'overlay', 0, data.encode()): sys.exit(print('no overlay'))
shutil.copy(where + '/shipped', where + '/brought')
os.chmod(where + '/brought', 0o755)
for name in ('shipped', 'brought'):
    open(f'{where}/{name}', 'rb').close()
    os.waitpid(os.posix_spawn(f'{where}/{name}', [name], {}), 0)
"""
    seen = watch.run(code, str(tmp_path))
    if seen.printed == "no overlay":
        pytest.skip("this kernel has no overlay file system")
    flags = constants("execve_flags")
    layers = flags["EXE_UPPER_LAYER"] | flags["EXE_LOWER_LAYER"]
    for name, layer in (("shipped", "LOWER"), ("brought", "UPPER")):
        path = f"{tmp_path}/merged/{name}"
        assert seen.one("execve", name).params[19] & layers == flags[f"EXE_{layer}_LAYER"]
        last = [call for call in seen.all("openat") if call.params[2] == path][-1]
        assert last.params[3] & (FLAGS["FD_UPPER_LAYER"] | FLAGS["FD_LOWER_LAYER"]) == FLAGS[f"FD_{layer}_LAYER"]
        assert last.fd is not None
        assert (last.fd.upper_layer, last.fd.lower_layer) == (layer == "UPPER", layer == "LOWER")
