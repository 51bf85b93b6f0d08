"""Host system calls: fields and event names."""
