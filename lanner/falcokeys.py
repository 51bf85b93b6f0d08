"""Keys of Falco's configuration that have no effect here, and what to do instead (spec: surface 1.4, D1)."""

NOWHERE = {
    "base_syscalls": "the kernel is asked for what the rules name, and for what keeps its tables right",
    "buffer_format_base64": "bytes in alerts are always written as text",
    "buffered_outputs": "outputs are never buffered",
    "capture": "captures are written with lanner capture",
    "container_engines": "the sockets of container runtimes are found where they usually are",
    "falco_libs": "tables of threads and descriptors are bounded without being told",
    "file_output.keep_alive": "the file stays open until it is moved away",
    "grpc": "Falco has removed it too; alerts go out through the outputs",
    "grpc_output": "Falco has removed it too; alerts go out through the outputs",
    "libs_logger": "there is no separate log of libraries",
    "log_stderr": "the log always goes to standard error, for the supervisor to keep",
    "log_syslog": "the log goes to standard error, for the supervisor to keep",
    "output_timeout": "each output has a time limit of its own, and none holds up another",
    "outputs": "Falco has removed it too: it limited the rate of all alerts",
    "outputs_queue": "the outbox holds what outputs have not taken, see outbox.max_alerts",
    "plugins_hostinfo": "plugins get no facts of the host",
    "syscall_buf_size_preset": "Falco has removed it too",
    "syscall_drop_failed_exit": "Falco has removed it too",
    "syscall_event_drops": "lost events are counted, and told by the health of the source",
    "syscall_event_timeouts": "a kernel without events is no failure",
    "unused_rule_check": "lanner rules check tells of rules that can never match",
} | {
    f"metrics.{name}": "metrics are served by HTTP, see webserver.prometheus_metrics_enabled"
    for name in (
        "convert_memory_to_mb",
        "enabled",
        "include_empty_values",
        "interval",
        "jemalloc_stats_enabled",
        "kernel_event_counters_enabled",
        "kernel_event_counters_per_cpu_enabled",
        "kernel_iter_event_counters_enabled",
        "libbpf_stats_enabled",
        "output_file",
        "output_rule",
        "plugins_metrics_enabled",
        "resource_utilization_enabled",
        "rules_counters_enabled",
        "state_counters_enabled",
    )
}
"""Keys by their dotted paths, with a sentence each."""
