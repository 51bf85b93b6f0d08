import os
from pathlib import Path

import pytest

from ingest.syscalls.users import Accounts, User

CONTAINER = "c" * 64


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("ingest.syscalls.users.CHECK_S", 0.0)
    for pid, passwd, group in (
        (1, "joe:x:1000:100:Joe:/home/joe:/bin/zsh\n", "users:x:100:joe\n"),
        (7, "app:x:1000:5::/app:/bin/false\nroot:x:0:0::/r:/bin/ash\n", "apps:x:5:\n"),
    ):
        etc = tmp_path / str(pid) / "root/etc"
        etc.mkdir(parents=True)
        (etc / "passwd").write_text(passwd)
        (etc / "group").write_text(group)
    return tmp_path


def test_names_are_those_of_the_host_or_of_the_container(proc: Path) -> None:
    accounts = Accounts(live=True, proc=str(proc))
    assert accounts.user("", 1000, 7) == User("joe", "/home/joe", "/bin/zsh")
    assert accounts.user(CONTAINER, 1000, 7) == User("app", "/app", "/bin/false")
    assert (accounts.group("", 100, 7), accounts.group(CONTAINER, 5, 7)) == ("users", "apps")
    assert accounts.user(CONTAINER, 0, 7) == User("root", "/r", "/bin/ash")
    assert accounts.user("", 5, 1) is None


def test_root_has_a_name_everywhere(proc: Path) -> None:
    accounts = Accounts(live=True, proc=str(proc))
    assert accounts.user("", 0, 1) == User("root", "/root", "<NA>")
    assert accounts.group("", 0, 1) == "root"


def test_a_changed_file_is_read_again(proc: Path) -> None:
    accounts = Accounts(live=True, proc=str(proc))
    assert accounts.user("", 1001, 1) is None
    path = proc / "1/root/etc/passwd"
    path.write_text("eve:x:1001:1::/:/bin/sh\n")
    os.utime(path, ns=(1, 1))
    assert accounts.user("", 1001, 1) == User("eve", "/", "/bin/sh")


def test_a_container_is_asked_through_another_process_when_the_first_was_gone(proc: Path) -> None:
    accounts = Accounts(live=True, proc=str(proc))
    assert accounts.user(CONTAINER, 1000, 99) is None
    assert accounts.user(CONTAINER, 1000, 7) == User("app", "/app", "/bin/false")


def test_files_of_containers_cannot_hold_the_agent_up_or_lead_it_elsewhere(proc: Path) -> None:
    etc = proc / "7/root/etc"
    (etc / "passwd").unlink()
    (etc / "passwd").symlink_to(proc / "1/root/etc/passwd")
    (etc / "group").unlink()
    os.mkfifo(etc / "group")
    accounts = Accounts(live=True, proc=str(proc))
    assert accounts.user(CONTAINER, 1000, 7) is None
    assert accounts.group(CONTAINER, 5, 7) is None


def test_odd_lines_are_left_out(proc: Path) -> None:
    (proc / "1/root/etc/passwd").write_bytes(b"short:x:5\n\nbad:x:no:1::/:/\n\xff:x:6:1::/h:/s\ntwo:x:6:1::/:/\n")
    accounts = Accounts(live=True, proc=str(proc))
    assert accounts.user("", 5, 1) is None
    assert accounts.user("", 6, 1) == User("\udcff", "/h", "/s")


def test_captures_list_their_users_and_nothing_is_read() -> None:
    accounts = Accounts()
    accounts.add_user("", 5, User("test", "/t", "/bin/sh"))
    accounts.add_group("x", 5, "staff")
    assert accounts.user("", 5, 1) == User("test", "/t", "/bin/sh")
    assert accounts.user("x", 5, 1) is None
    assert accounts.group("x", 5, 1) == "staff"


def test_databases_of_many_containers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.users.MAX_DATABASES", 10)
    accounts = Accounts()
    accounts.add_user("", 5, User("test", "/t", "/bin/sh"))
    for number in range(100):
        accounts.user(str(number), 5, 1)
    assert len(accounts._databases) <= 11
    assert accounts.user("", 5, 1) is not None
