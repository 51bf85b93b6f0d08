"""What the metadata of a cluster can be told; it is imported by the configuration, so it needs no client."""

from dataclasses import dataclass

KINDS = (
    "pods",
    "namespaces",
    "nodes",
    "serviceaccounts",
    "replicasets",
    "deployments",
    "replicationcontrollers",
    "services",
)
"""What can be watched, by the names that RBAC has for it."""


@dataclass(frozen=True, slots=True)
class EnrichmentOptions:
    """
    Labels and owners from a Kubernetes API server, for the fields k8smeta.* and for alerts.

    Attributes:
        enabled: Whether an API server is asked.
        kubeconfig: Path of a kubeconfig; "" for the pod's own service account, or outside of a cluster for the file
            that KUBECONFIG names.
        context: Context of the kubeconfig; "" for its current one.
        cluster: Name of the cluster as its audit events have it (ka.cluster.name); events that name another one, or any
            when this is "", get nothing from here.
        kinds: What is watched; leave out what no rule asks for, to save memory and requests.
        labels: Keys of the labels that are kept; empty keeps all.
        node: Only pods of this node are kept; "" keeps those of all.
        alert_fields: Fields added to the output_fields of alerts of k8s_audit.
        start_wait: Seconds that the start waits for the first lists at most; then events go without.
    """

    enabled: bool = False
    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    kinds: tuple[str, ...] = KINDS
    labels: tuple[str, ...] = ()
    node: str = ""
    alert_fields: tuple[str, ...] = (
        "k8smeta.ns.labels",
        "k8smeta.pod.labels",
        "k8smeta.owner.kind",
        "k8smeta.owner.name",
    )
    start_wait: float = 10.0
