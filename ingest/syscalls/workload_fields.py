"""Fields of who and where on a host: ``user.*``, ``group.*``, ``container.*``, ``k8s.*``."""

from engine.fields import Arg, Field, Type

ABSTIME = Type.ABSTIME
BOOL = Type.BOOL
INT = Type.INT
RELTIME = Type.RELTIME
STRING = Type.STRING
UINT = Type.UINT

USER_FIELDS = (
    Field("user.uid", UINT, "Effective user id of the thread."),
    Field(
        "user.name", STRING, "User name for the effective uid, looked up in the container's or host's account database."
    ),
    Field("user.homedir", STRING, "Home directory of that user."),
    Field("user.shell", STRING, "Login shell of that user."),
    Field("user.loginuid", INT, "Audit login uid, or -1 when unset."),
    Field("user.loginname", STRING, "User name for the audit login uid."),
    Field("group.gid", UINT, "Effective group id of the thread."),
    Field("group.name", STRING, "Group name for the effective gid."),
)

CONTAINER_FIELDS = (
    Field(
        "container.id",
        STRING,
        "First 12 characters of the container id derived from the cgroup path, or host outside containers.",
        suggested=True,
    ),
    Field("container.full_id", STRING, "Untruncated container id obtained from the runtime."),
    Field("container.name", STRING, "Container name from the runtime, or host outside containers.", suggested=True),
    Field("container.image", STRING, "Image reference as the runtime reports it."),
    Field("container.image.id", STRING, "Image id as the runtime reports it."),
    Field(
        "container.type",
        STRING,
        "Runtime that owns the container (docker, podman, containerd, cri-o, lxc, ... or host).",
    ),
    Field("container.privileged", BOOL, "True for a privileged container."),
    Field("container.mounts", STRING, "All mounts as source:dest:mode:rw:propagation tuples joined by commas."),
    Field(
        "container.mount",
        STRING,
        "One mount tuple chosen by position or by source pattern.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
    ),
    Field(
        "container.mount.source",
        STRING,
        "Source of a mount chosen by position or by destination pattern.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
    ),
    Field(
        "container.mount.dest",
        STRING,
        "Destination of a mount chosen by position or by source pattern.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
    ),
    Field(
        "container.mount.mode",
        STRING,
        "Mode string of a mount chosen by position or by source pattern.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
    ),
    Field(
        "container.mount.rdwr",
        STRING,
        "true or false for the writability of a mount chosen by position or source pattern.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
    ),
    Field(
        "container.mount.propagation",
        STRING,
        "Propagation setting of a mount chosen by position or source pattern.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
    ),
    Field("container.image.repository", STRING, "Repository part of the image reference.", suggested=True),
    Field("container.image.tag", STRING, "Tag part of the image reference.", suggested=True),
    Field("container.image.digest", STRING, "Registry digest of the image."),
    Field("container.healthcheck", STRING, "Retired; never set.", deprecated=True),
    Field("container.liveness_probe", STRING, "Retired; never set.", deprecated=True),
    Field("container.readiness_probe", STRING, "Retired; never set.", deprecated=True),
    Field(
        "container.start_ts",
        ABSTIME,
        "Container start in epoch nanoseconds, taken from the start of its pid namespace.",
    ),
    Field("container.duration", RELTIME, "Nanoseconds since container.start_ts."),
    Field("container.ip", STRING, "Primary IPv4 address of the container or its pod."),
    Field("container.cni.json", STRING, "Raw CNI result JSON describing the pod's interfaces."),
    Field("container.host_pid", BOOL, "True when the container shares the host pid namespace."),
    Field("container.host_network", BOOL, "True when the container shares the host network namespace."),
    Field("container.host_ipc", BOOL, "True when the container shares the host IPC namespace."),
    Field(
        "container.label", STRING, "Value of the named container label.", arg=Arg.KEY, arg_required=True, dotted=True
    ),
    Field("container.labels", STRING, "All container labels as key:value pairs joined by comma and space."),
)

KUBERNETES_FIELDS = (
    Field("k8s.pod.name", STRING, "Pod name from the runtime's Kubernetes labels.", suggested=True),
    Field("k8s.ns.name", STRING, "Pod namespace from the runtime's Kubernetes labels.", suggested=True),
    Field("k8s.pod.id", STRING, "Legacy alias of k8s.pod.uid."),
    Field("k8s.pod.uid", STRING, "Pod UID assigned by the API server, from the runtime's labels."),
    Field("k8s.pod.sandbox_id", STRING, "First 12 characters of the pod sandbox container id."),
    Field("k8s.pod.full_sandbox_id", STRING, "Full pod sandbox container id."),
    Field("k8s.pod.label", STRING, "Value of the named pod label.", arg=Arg.KEY, arg_required=True, dotted=True),
    Field("k8s.pod.labels", STRING, "All pod labels as key:value pairs joined by comma and space."),
    Field("k8s.pod.ip", STRING, "Primary IPv4 address of the pod."),
    Field("k8s.pod.cni.json", STRING, "Raw CNI result JSON of the pod."),
    Field("k8s.rc.name", STRING, "Name of the replication controller; k8smeta.rc.name says the same.", deprecated=True),
    Field("k8s.rc.id", STRING, "Uid of the replication controller; k8smeta.rc.uid says the same.", deprecated=True),
    Field(
        "k8s.rc.label",
        STRING,
        "Value of the named label of the replication controller; k8smeta.rc.label says the same.",
        arg=Arg.KEY,
        arg_required=True,
        dotted=True,
        deprecated=True,
    ),
    Field(
        "k8s.rc.labels",
        STRING,
        "All labels of the replication controller; k8smeta.rc.labels says the same.",
        deprecated=True,
    ),
    Field("k8s.svc.name", STRING, "Name of the service; k8smeta.svc.name says the same.", deprecated=True),
    Field("k8s.svc.id", STRING, "Uid of the service; k8smeta.svc.uid says the same.", deprecated=True),
    Field(
        "k8s.svc.label",
        STRING,
        "Value of the named label of the service; k8smeta.svc.label says the same.",
        arg=Arg.KEY,
        arg_required=True,
        dotted=True,
        deprecated=True,
    ),
    Field("k8s.svc.labels", STRING, "All labels of the service; k8smeta.svc.labels says the same.", deprecated=True),
    Field("k8s.ns.id", STRING, "Uid of the namespace; k8smeta.ns.uid says the same.", deprecated=True),
    Field(
        "k8s.ns.label",
        STRING,
        "Value of the named label of the namespace; k8smeta.ns.label says the same.",
        arg=Arg.KEY,
        arg_required=True,
        dotted=True,
        deprecated=True,
    ),
    Field("k8s.ns.labels", STRING, "All labels of the namespace; k8smeta.ns.labels says the same.", deprecated=True),
    Field("k8s.rs.name", STRING, "Name of the replica set; k8smeta.rs.name says the same.", deprecated=True),
    Field("k8s.rs.id", STRING, "Uid of the replica set; k8smeta.rs.uid says the same.", deprecated=True),
    Field(
        "k8s.rs.label",
        STRING,
        "Value of the named label of the replica set; k8smeta.rs.label says the same.",
        arg=Arg.KEY,
        arg_required=True,
        dotted=True,
        deprecated=True,
    ),
    Field("k8s.rs.labels", STRING, "All labels of the replica set; k8smeta.rs.labels says the same.", deprecated=True),
    Field(
        "k8s.deployment.name", STRING, "Name of the deployment; k8smeta.deployment.name says the same.", deprecated=True
    ),
    Field("k8s.deployment.id", STRING, "Uid of the deployment; k8smeta.deployment.uid says the same.", deprecated=True),
    Field(
        "k8s.deployment.label",
        STRING,
        "Value of the named label of the deployment; k8smeta.deployment.label says the same.",
        arg=Arg.KEY,
        arg_required=True,
        dotted=True,
        deprecated=True,
    ),
    Field(
        "k8s.deployment.labels",
        STRING,
        "All labels of the deployment; k8smeta.deployment.labels says the same.",
        deprecated=True,
    ),
)
