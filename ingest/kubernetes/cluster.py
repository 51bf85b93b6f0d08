"""
The objects of one cluster in memory, found by name, uid or container: what the fields ask and the watches fill.

Each store is written by one thread, that of its watch, and read by another without a lock: a look-up is a look-up in
one dict, and what it finds is never changed. Deleted objects stay for some minutes, since events of them come late.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

from ingest.kubernetes.objects import Object, Owner, Pod, Service

log = logging.getLogger("lanner.kubernetes")

T = TypeVar("T", bound=Object)

MOST_OBJECTS = 200_000
"""Objects of a kind beyond which no further ones are kept; Kubernetes is built for up to 150,000 pods."""
KEPT_DELETED = 300.0
"""Seconds that a deleted object is still found; audit events come seconds, on EKS minutes late."""
MOST_DELETED = 20_000
"""Deleted objects kept, whatever their age."""


class Store(Generic[T]):
    """
    The objects of one kind.

    Attributes:
        left_out: Objects that were too many.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.left_out = 0
        self._by_uid: dict[str, T] = {}
        self._by_name: dict[tuple[str, str], T] = {}
        self._deleted: OrderedDict[str, float] = OrderedDict()
        self._clock = clock

    def __len__(self) -> int:
        return len(self._by_uid)

    def by_uid(self, uid: str) -> T | None:
        """Return the object with a uid."""
        return self._by_uid.get(uid)

    def find(self, namespace: str, name: str, uid: str = "") -> T | None:
        """Return the newest object of a name; with a uid only that very one."""
        found = self._by_name.get((namespace, name))
        if uid and (found is None or found.uid != uid):
            return self._by_uid.get(uid)
        return found

    def put(self, found: T) -> None:
        """Add an object or its new state."""
        before = self._by_uid.get(found.uid)
        if not found.uid:
            return
        if before is None and len(self._by_uid) >= MOST_OBJECTS:
            if not self.left_out:
                log.warning("more than %d objects of a kind: further ones are not known", MOST_OBJECTS)
            self.left_out += 1
            return
        self._deleted.pop(found.uid, None)
        self._by_uid[found.uid] = found
        self._by_name[found.namespace, found.name] = found
        self._index(before, found)

    def remove(self, uid: str) -> None:
        """Note that an object was deleted; it is forgotten later."""
        if uid in self._by_uid and uid not in self._deleted:
            self._deleted[uid] = self._clock()
        self.forget_old()

    def keep_only(self, uids: Collection[str]) -> None:
        """Remove all objects but these, which are all that there are."""
        for uid in [uid for uid in self._by_uid if uid not in uids]:
            self.remove(uid)
        self.forget_old()

    def forget_old(self) -> None:
        """Forget what was deleted long ago, or first where too much was deleted."""
        oldest = self._clock() - KEPT_DELETED
        while self._deleted:
            uid, since = next(iter(self._deleted.items()))
            if since > oldest and len(self._deleted) <= MOST_DELETED:
                return
            del self._deleted[uid]
            self._drop(self._by_uid.pop(uid))

    def _drop(self, found: T) -> None:
        key = (found.namespace, found.name)
        if (current := self._by_name.get(key)) and current.uid == found.uid:
            del self._by_name[key]
        self._index(found, None)

    def _index(self, before: T | None, after: T | None) -> None:
        """Keep further ways to find an object."""


class Pods(Store[Pod]):
    """The pods, also by container and by the uid of a static one's cgroups."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._by_container: dict[str, Pod] = {}
        self._by_mirror: dict[str, Pod] = {}

    def by_uid(self, uid: str) -> Pod | None:
        """Return the pod with a uid, that of its API object or that of its cgroups."""
        return self._by_uid.get(uid) or self._by_mirror.get(uid)

    def by_container(self, container: str) -> Pod | None:
        """Return the pod of a container, by the first 12 characters of the container's id."""
        return self._by_container.get(container)

    def _index(self, before: Pod | None, after: Pod | None) -> None:
        _swap(self._by_container, before.containers if before else (), after.containers if after else (), after)
        _swap(self._by_mirror, _keys(before), _keys(after), after)


class Services(Store[Service]):
    """The services, also by namespace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._by_namespace: dict[str, dict[str, Service]] = {}

    def selecting(self, pod: Pod) -> list[Service]:
        """Return the services whose selector fits a pod."""
        there = self._by_namespace.get(pod.namespace)
        return [service for service in list(there.values()) if service.selects(pod)] if there else []

    def _index(self, before: Service | None, after: Service | None) -> None:
        if after:
            self._by_namespace.setdefault(after.namespace, {})[after.uid] = after
        elif before and (there := self._by_namespace.get(before.namespace)):
            there.pop(before.uid, None)
            if not there:
                del self._by_namespace[before.namespace]


def _keys(pod: Pod | None) -> tuple[str, ...]:
    return (pod.mirror,) if pod and pod.mirror else ()


def _swap(index: dict[str, Pod], before: Iterable[str], after: Collection[str], pod: Pod | None) -> None:
    for key in before:
        if key not in after:
            index.pop(key, None)
    if pod:
        for key in after:
            index[key] = pod


class Cluster:
    """
    One cluster; empty unless its watches run.

    Attributes:
        name: As audit events of it name it; "" when they name none.
        counters: What its watches count, ``<kind>:<what>``.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = ""
        self.counters: Counter[str] = Counter()
        self.pods = Pods(clock)
        self.services = Services(clock)
        self.namespaces: Store[Object] = Store(clock)
        self.nodes: Store[Object] = Store(clock)
        self.service_accounts: Store[Object] = Store(clock)
        self.replica_sets: Store[Object] = Store(clock)
        self.deployments: Store[Object] = Store(clock)
        self.replication_controllers: Store[Object] = Store(clock)

    @property
    def stores(self) -> Mapping[str, Store[Any]]:
        """The stores by the names that RBAC has for their kinds."""
        return {
            "pods": self.pods,
            "namespaces": self.namespaces,
            "nodes": self.nodes,
            "serviceaccounts": self.service_accounts,
            "replicasets": self.replica_sets,
            "deployments": self.deployments,
            "replicationcontrollers": self.replication_controllers,
            "services": self.services,
        }

    def owner(self, found: Object) -> Owner | None:
        """Return what stands behind an object: its controller, or that controller's own, as a deployment's."""
        owner = found.owner
        if owner and owner.kind == "ReplicaSet" and (between := self.replica_sets.by_uid(owner.uid)):
            return between.owner or owner
        return owner

    def replica_set(self, pod: Pod) -> Object | None:
        """Return the replica set of a pod."""
        return self.replica_sets.by_uid(pod.owner.uid) if pod.owner and pod.owner.kind == "ReplicaSet" else None

    def deployment(self, pod: Pod) -> Object | None:
        """Return the deployment of a pod."""
        between = self.replica_set(pod)
        owner = between.owner if between else None
        return self.deployments.by_uid(owner.uid) if owner and owner.kind == "Deployment" else None

    def replication_controller(self, pod: Pod) -> Object | None:
        """Return the replication controller of a pod."""
        owner = pod.owner
        return self.replication_controllers.by_uid(owner.uid) if owner and "Replication" in owner.kind else None


HERE = Cluster()
"""
The cluster that this process watches.

Fields are made in many places and the watches run in one; what they share is the process, which watches one cluster.
"""
