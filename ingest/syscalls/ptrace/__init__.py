"""Host events of one program and all that it starts, without any privilege: ptrace and seccomp (spec: host-agent 6)."""
