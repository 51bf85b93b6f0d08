"""The driver that reads host events from the kernel with eBPF (spec: host-agent 2, 3 and 5)."""
