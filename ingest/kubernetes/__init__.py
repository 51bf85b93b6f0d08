"""
What a Kubernetes cluster holds, kept by list and watch, so that events can be told with labels and owners.

Shared by the sources: the audit source finds the object that a request is about by its name, the host source the pod of
a process by pod uid or container id.
"""
