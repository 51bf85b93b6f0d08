"""Described events are read by the fields as those of a kernel are, and Falco's rules see in them what they should."""

from functools import cache
from typing import Any

import pytest
import yaml

from engine.condition import check_condition
from engine.diagnostics import SourceText
from engine.evaluate import Engine
from engine.generate import predicate
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls.described import BadDescription, to_event
from lanner.catalog import build_catalog
from tests.shared import SHARED, needs_shared

CATALOG = build_catalog("h")


def holds(condition: str, description: str) -> bool:
    return predicate(check_condition(SourceText(condition), "syscall", CATALOG))(to_event(yaml.safe_load(description)))


OPEN = "{type: openat, args: {name: /etc/shadow, flags: O_RDONLY|O_CLOEXEC}, process: {name: cat, cwd: /tmp}}"


@pytest.mark.parametrize(
    ("condition", "description"),
    [
        ("evt.type = openat and fd.name = /etc/shadow and fd.num = 3 and fd.directory = /etc", OPEN),
        ("evt.is_open_read = true and evt.is_open_write = false and evt.res = SUCCESS", OPEN),
        ("proc.name = cat and proc.exepath = /usr/bin/cat and proc.cwd = /tmp/ and user.uid = 0", OPEN),
        ("container.id = host and container.name = host", OPEN),
        ("fd.name = /srv/a", "{type: openat, args: {name: a, flags: O_WRONLY}, process: {cwd: /srv}}"),
        ("evt.res = ENOENT and fd.num = -1 and evt.failed = true", "{type: openat, result: ENOENT, args: {name: /x}}"),
        ("evt.arg.flags contains O_CREAT and evt.is_open_write = true", "{type: open, args: {flags: O_CREAT|O_RDWR}}"),
        (
            "proc.cmdline = 'nc -e sh' and proc.pname = bash and proc.aname[2] = sshd and proc.tty = 34816",
            "{type: execve, process: {cmdline: nc -e sh, tty: 34816}, ancestors: [{name: bash}, {name: sshd}]}",
        ),
        (
            "proc.args = '-e sh' and evt.arg.flags contains EXE_UPPER_LAYER and proc.is_exe_upper_layer = true",
            "{type: execve, process: {cmdline: nc -e sh, exe_flags: EXE_UPPER_LAYER}}",
        ),
        (
            "evt.type = execve and evt.failed = true and proc.name = bash",
            "{type: execve, result: EACCES, process: {name: bash}}",
        ),
        ("proc.env[LD_PRELOAD] = /x.so", "{type: execve, process: {name: a, env: {LD_PRELOAD: /x.so}}}"),
        (
            "thread.cap_effective contains CAP_SYS_ADMIN",
            "{type: setuid, args: {uid: 0}, process: {caps: [CAP_SYS_ADMIN]}}",
        ),
        ("user.name = ann and user.uid = 1000", "{type: setns, process: {uid: 1000}, users: {1000: ann}}"),
        (
            """
            container.id = 3ad7b26ded6d and container.privileged = true and k8s.pod.name = web-1 and k8s.ns.name = prod
            and container.image.repository = reg:5000/nginx and container.image.tag = '1.25'
            """,
            """
            type: setns
            container: {id: 3ad7b26ded6d, image: "reg:5000/nginx:1.25", privileged: true, pod: web-1, namespace: prod}
            """,
        ),
        (
            "fd.sip = 192.0.2.7 and fd.sport = 443 and fd.cip = 10.0.0.1 and fd.type = ipv4 and fd.l4proto = tcp",
            "{type: connect, args: {tuple: '10.0.0.1:4000->192.0.2.7:443'}}",
        ),
        (
            "fd.typechar = 4 and fd.num = 0",
            """
            type: dup2
            result: 0
            fds: {5: {type: ipv4, name: "1.2.3.4:5->6.7.8.9:10"}}
            args: {oldfd: 5, newfd: 0}
            """,
        ),
        ("evt.arg.request contains PTRACE_POKETEXT", "{type: ptrace, args: {request: PTRACE_POKETEXT, pid: 7}}"),
        (
            "fs.path.name = /etc/x and evt.arg.mode contains S_IXUSR",
            "{type: chmod, args: {filename: /etc/x, mode: S_IXUSR}}",
        ),
        ("fd.name = '@x' or fd.name endswith /run/docker.sock", "{type: connect, args: {tuple: /var/run/docker.sock}}"),
        ("proc.duration >= 5000000000", "{type: setsid, age: 5}"),
        ("evt.type = kexec_load", "{type: kexec_load}"),
    ],
)
def test_conditions_hold(condition: str, description: str) -> None:
    assert holds(condition, description)


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ({"type": "openat", "arg": {}}, "event: unknown key 'arg'; known are age, ancestors, args"),
        ({"type": "openat", "args": {"nme": "x"}}, "args: unknown key 'nme'; known are dev, dirfd"),
        ({"type": "openat", "args": {"flags": "O_WRNG"}}, "args.flags: 'O_WRNG' is neither a number nor a name"),
        ({"type": "openat", "result": "ENOPE"}, "result: 'ENOPE' is neither"),
        ({"type": "openat", "process": {"nam": "x"}}, "process: unknown key 'nam'"),
        ({"type": "openat", "ancestors": [{"x": 1}]}, r"ancestors\[0\]: unknown key 'x'"),
        ({"type": "connect", "args": {"tuple": "1.2.3.4->x:y"}}, "args.tuple: 'x:y' is no address"),
        ({"type": "dup", "fds": {3: {"type": "thing"}}}, "fds.3.type: 'thing' is none of file"),
        ("text", "event: a mapping is wanted"),
    ],
)
def test_a_mistake_is_told_with_its_key(description: Any, told: str) -> None:
    with pytest.raises(BadDescription, match=told):
        to_event(description)


@cache
def falco() -> Engine:
    assert SHARED is not None
    path = SHARED / "falco-rules/falcosecurity-rules/falco_rules.yaml"
    result = load_rules([RuleFile(path.name, path.read_text("utf-8"))], CATALOG)
    assert result.ruleset is not None
    return Engine(result.ruleset)


CONTAINER = "container: {id: 3ad7b26ded6d, image: nginx}"


@needs_shared
@pytest.mark.parametrize(
    ("rule", "description"),
    [
        (
            "Read sensitive file untrusted",
            "{type: openat, args: {name: /etc/shadow, flags: O_RDONLY}, process: {name: cat}}",
        ),
        (
            "Terminal shell in container",
            f"{{type: execve, process: {{name: bash, tty: 34816}}, ancestors: [{{name: runc}}], {CONTAINER}}}",
        ),
        (
            "Redirect STDOUT/STDIN to Network Connection in Container",
            """
            type: dup2
            result: 0
            args: {oldfd: 5, newfd: 0}
            process: {name: sh}
            container: {id: 3ad7b26ded6d, image: nginx}
            fds: {5: {type: ipv4, name: "10.0.0.1:4000->192.0.2.7:443"}}
            """,
        ),
        ("Fileless execution via memfd_create", "{type: execve, process: {name: x, exe_flags: EXE_FROM_MEMFD}}"),
        ("PTRACE attached to process", "{type: ptrace, args: {request: PTRACE_ATTACH, pid: 7}, process: {name: gdb2}}"),
        (
            "Drop and execute new binary in container",
            f"{{type: execve, process: {{name: x, exe_flags: EXE_WRITABLE|EXE_UPPER_LAYER}}, {CONTAINER}}}",
        ),
        (
            "Create Symlink Over Sensitive Files",
            "{type: symlinkat, args: {target: /etc/shadow, linkpath: /tmp/x}, process: {name: ln}}",
        ),
    ],
)
def test_falcos_rules_match(rule: str, description: str) -> None:
    found = [match.rule.name for match in falco().evaluate(to_event(yaml.safe_load(description)))]
    assert rule in found


@needs_shared
def test_falcos_rules_are_quiet_about_what_is_usual() -> None:
    for description in (
        "{type: openat, args: {name: /etc/shadow, flags: O_RDONLY}, process: {name: sshd}}",
        "{type: openat, result: EACCES, args: {name: /etc/hosts}, process: {name: cat}}",
        "{type: execve, process: {name: bash, tty: 34816}}",
    ):
        assert not falco().evaluate(to_event(yaml.safe_load(description)))
