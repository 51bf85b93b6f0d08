"""
The resources of the Kubernetes API: which API group has which, with which subresources, in namespaces or not.

Audit policies name a resource with its group and have no wildcard for groups, so the group must be known. Source of
the built-in ones: the OpenAPI document of Kubernetes 1.37, which the test compares through the ``kubernetes`` client.
"""

from collections.abc import Iterator
from dataclasses import dataclass

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
"""What requests for resources do."""

PROXY_VERBS = ("get", "create", "update", "patch", "delete")
"""What requests through a proxy do, and those for a subresource of which nothing else is known."""

_SUBRESOURCE_VERBS = {
    **dict.fromkeys(("approval", "ephemeralcontainers", "resize", "scale", "status"), ("get", "update", "patch")),
    **dict.fromkeys(("attach", "exec", "portforward"), ("get", "create")),
    **dict.fromkeys(("binding", "eviction", "token"), ("create",)),
    "finalize": ("update",),
    "log": ("get",),
}

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
"""The verbs of requests that are for no resource."""

_STREAMS = frozenset({"exec", "attach", "portforward", "proxy"})


@dataclass(frozen=True, slots=True)
class Target:
    """
    A resource that requests are about, or one of its subresources.

    Attributes:
        group: API group; "" is the core group.
        resource, subresource: As audit events spell them; subresource "" for the resource itself.
        namespaced: Whether its objects are in namespaces; None if unknown.
        optional: Whether clusters exist that do not have it: what is added, alpha, or was removed from Kubernetes.
    """

    group: str
    resource: str
    subresource: str = ""
    namespaced: bool | None = None
    optional: bool = False

    @property
    def path(self) -> str:
        """As policies and roles spell it, ``pods/exec``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs that requests for it can have."""
        return _SUBRESOURCE_VERBS.get(self.subresource, PROXY_VERBS) if self.subresource else VERBS

    @property
    def streams(self) -> bool:
        """Whether requests open a connection into the cluster, so that no body is recorded at any level."""
        return self.subresource in _STREAMS

    def __str__(self) -> str:
        return f"{self.path}.{self.group}" if self.group else self.path


# API group: what is in namespaces, and what is not; after a slash the subresources.
_BUILT_IN: dict[str, tuple[str, str]] = {
    "": (
        (
            "bindings configmaps endpoints events limitranges persistentvolumeclaims/status"
            " pods/attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status podtemplates"
            " replicationcontrollers/scale,status resourcequotas/status secrets serviceaccounts/token"
            " services/proxy,status"
        ),
        "componentstatuses namespaces/finalize,status nodes/proxy,status persistentvolumes/status",
    ),
    "admissionregistration.k8s.io": (
        "",
        (
            "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations"
            " validatingadmissionpolicies/status validatingadmissionpolicybindings validatingwebhookconfigurations"
        ),
    ),
    "apiextensions.k8s.io": ("", "customresourcedefinitions/status"),
    "apiregistration.k8s.io": ("", "apiservices/status"),
    "apps": (
        (
            "controllerrevisions daemonsets/status deployments/scale,status replicasets/scale,status"
            " statefulsets/scale,status"
        ),
        "",
    ),
    "authentication.k8s.io": ("", "selfsubjectreviews tokenreviews"),
    "authorization.k8s.io": (
        "localsubjectaccessreviews",
        "selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews",
    ),
    "autoscaling": ("horizontalpodautoscalers/status", ""),
    "batch": ("cronjobs/status jobs/status", ""),
    "certificates.k8s.io": (
        "podcertificaterequests/status",
        "certificatesigningrequests/approval,status clustertrustbundles",
    ),
    "coordination.k8s.io": ("leasecandidates leases", ""),
    "discovery.k8s.io": ("endpointslices", ""),
    "events.k8s.io": ("events", ""),
    "flowcontrol.apiserver.k8s.io": ("", "flowschemas/status prioritylevelconfigurations/status"),
    "internal.apiserver.k8s.io": ("", "storageversions/status"),
    "lifecycle.k8s.io": ("evictionrequests/status evictions/status", ""),
    "networking.k8s.io": (
        "ingresses/status networkpolicies",
        "ingressclasses ipaddresses servicecidrs/status",
    ),
    "node.k8s.io": ("", "runtimeclasses"),
    "policy": ("poddisruptionbudgets/status", ""),
    "rbac.authorization.k8s.io": ("rolebindings roles", "clusterrolebindings clusterroles"),
    "resource.k8s.io": (
        "resourceclaims/status resourceclaimtemplates",
        "deviceclasses devicetaintrules/status resourcepoolstatusrequests/status resourceslices",
    ),
    "scheduling.k8s.io": ("compositepodgroups/status podgroups/status workloads", "priorityclasses"),
    "storage.k8s.io": (
        "csistoragecapacities",
        "csidrivers csinodes/status storageclasses volumeattachments/status volumeattributesclasses",
    ),
    "storagemigration.k8s.io": ("", "storageversionmigrations/status"),
}

# Added by widely used projects, or removed from Kubernetes, and named in rules.
_ADDED: dict[str, tuple[str, str]] = {
    "cilium.io": ("ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies"),
    "crd.projectcalico.org": ("networkpolicies", "globalnetworkpolicies"),
    "gateway.networking.k8s.io": ("grpcroutes/status httproutes/status gateways/status", "gatewayclasses/status"),
    "kyverno.io": ("policies", "clusterpolicies"),
    "policy": ("", "podsecuritypolicies"),
    "policy.networking.k8s.io": ("", "adminnetworkpolicies baselineadminnetworkpolicies"),
    "projectcalico.org": ("networkpolicies", "globalnetworkpolicies"),
    "route.openshift.io": ("routes/status", ""),
    "security.openshift.io": ("", "securitycontextconstraints"),
    "templates.gatekeeper.sh": ("", "constrainttemplates"),
    "user.openshift.io": ("", "groups identities users"),
}

_ALPHA_GROUPS = frozenset({"internal.apiserver.k8s.io", "lifecycle.k8s.io"})
REMOVED_GROUPS = frozenset({"extensions"})
"""Groups of which no supported version of Kubernetes serves anything."""


def _targets(groups: dict[str, tuple[str, str]], optional: bool) -> Iterator[Target]:
    for group, scopes in groups.items():
        for words, namespaced in zip(scopes, (True, False), strict=True):
            for word in words.split():
                resource, _, below = word.partition("/")
                maybe = optional or group in _ALPHA_GROUPS
                for subresource in ("", *filter(None, below.split(","))):
                    yield Target(group, resource, subresource, namespaced, maybe)


TARGETS: tuple[Target, ...] = (*_targets(_BUILT_IN, False), *_targets(_ADDED, True))
"""All that is known; a resource of one name may be in several groups."""

_GROUPS: dict[str, list[str]] = {}
for _target in TARGETS:
    if not _target.subresource:
        _GROUPS.setdefault(_target.resource, []).append(_target.group)


def groups_of(resource: str) -> list[str]:
    """Return the API groups that have a resource of this name, those of Kubernetes itself first."""
    return _GROUPS.get(resource, [])


def group_name(group: str) -> str:
    """Return an API group's name for people."""
    return group or "the core group"
