"""
A stand-in for a Kubernetes API server that keeps to what lists and watches promise, and can be told to break.

Every change of any object raises one resource version. A list gives pages of one state, with tokens that expire; a
watch gives what changed after a version, line by line, and bookmarks when asked to; a version older than what is
remembered is answered 410, as a status of the request or as an event of the watch. Source: the Kubernetes API's
concepts.
"""

import asyncio
import base64
import contextlib
import functools
import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

Json = dict[str, Any]

_PATHS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "nodes": "/api/v1/nodes",
    "serviceaccounts": "/api/v1/serviceaccounts",
    "services": "/api/v1/services",
    "replicationcontrollers": "/api/v1/replicationcontrollers",
    "replicasets": "/apis/apps/v1/replicasets",
    "deployments": "/apis/apps/v1/deployments",
}


def status(code: int, reason: str, message: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message}  # fmt: skip


@dataclass
class Change:
    version: int
    type: str
    object: Json


@dataclass
class ApiServer:
    """
    Objects and their history; all methods may be called from the test's thread.

    Attributes:
        token: The bearer token that is wanted; "" for none.
        requests: (kind, "list" or "watch", query) of each request in order.
        refusals: For a kind and "list" or "watch": answers (status, headers) given instead, one after the other.
        most: Entries of a page at most, whatever the client's limit says.
        forbidden: Kinds that the client has no right to.
        as_event: Whether an expired version of a watch is told as an event, else as the status of the request.
        drop_after: Lines after which a watch is cut in the middle of the next one; -1 never.
    """

    token: str = ""
    requests: list[tuple[str, str, Json]] = field(default_factory=list)
    headers: list[Json] = field(default_factory=list)
    refusals: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    most: int = 500
    as_event: bool = False
    drop_after: int = -1
    oldest: int = 0
    version: int = 100
    counts: Counter[str] = field(default_factory=Counter)
    expire_tokens: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._objects: dict[str, dict[str, Json]] = {kind: {} for kind in _PATHS}
        self._history: dict[str, list[Change]] = {kind: [] for kind in _PATHS}
        self._states: dict[int, dict[str, list[Json]]] = {}
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved: asyncio.Event | None = None
        self._open: set[asyncio.Transport] = set()

    # What a test does -----------------------------------------------------------------------------------------------

    def put(self, kind: str, found: Json) -> Json:
        """Create or update an object."""
        with self._lock:
            self.version += 1
            uid = found["metadata"]["uid"]
            found = json.loads(json.dumps(found))
            found["metadata"]["resourceVersion"] = str(self.version)
            change = "MODIFIED" if uid in self._objects[kind] else "ADDED"
            self._objects[kind][uid] = found
            self._history[kind].append(Change(self.version, change, found))
        self._wake()
        return found

    def delete(self, kind: str, uid: str) -> None:
        with self._lock:
            self.version += 1
            found = self._objects[kind].pop(uid)
            found = {**found, "metadata": {**found["metadata"], "resourceVersion": str(self.version)}}
            self._history[kind].append(Change(self.version, "DELETED", found))
        self._wake()

    def vanish(self, kind: str, uid: str) -> None:
        """Delete an object such that no watch will ever tell of it."""
        with self._lock:
            del self._objects[kind][uid]
            self.version += 1
            self.forget()

    def forget(self) -> None:
        """Compact: no version up to now can be watched from any more."""
        with self._lock:
            self.oldest = self.version + 1
            self.version += 1

    def bookmark(self) -> None:
        """Have every watch send a bookmark of the newest version."""
        with self._lock:
            self.version += 1
            for kind in _PATHS:
                self._history[kind].append(Change(self.version, "BOOKMARK", {}))
        self._wake()

    def send(self, kind: str, change: str, found: Any) -> None:
        """Send a watch anything."""
        with self._lock:
            self.version += 1
            self._history[kind].append(Change(self.version, change, found))
        self._wake()

    def drop_connections(self) -> None:
        """Reset every open connection."""
        assert self._loop
        self._loop.call_soon_threadsafe(lambda: [transport.abort() for transport in list(self._open)])

    def end_watches(self) -> None:
        """End every watch in order, as a server does after timeoutSeconds."""
        with self._lock:
            self.counts["end"] += 1
        self._wake()

    # What it answers ------------------------------------------------------------------------------------------------

    def application(self) -> web.Application:
        app = web.Application()
        for kind, path in _PATHS.items():
            app.router.add_get(path, functools.partial(self._get, kind))
        return app

    async def _get(self, kind: str, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self._open.add(request.transport)
        query = dict(request.query)
        what = "watch" if query.get("watch", "").lower() == "true" else "list"
        self.requests.append((kind, what, query))
        self.headers.append(dict(request.headers))
        if self.token and request.headers.get("Authorization", "").split(" ")[-1] != self.token:
            return _refused(401, "Unauthorized", "Unauthorized")
        if kind in self.forbidden:
            message = f'{kind} is forbidden: User "system:serviceaccount:lanner:lanner" cannot {what} resource "{kind}"'
            return _refused(403, "Forbidden", message)
        planned = self.refusals.get((kind, what))
        if planned:
            code, headers = planned.pop(0)
            return _refused(code, "Planned", "planned by the test", headers)
        if what == "list":
            return self._list(kind, query, request)
        return await self._watch(kind, query, request)

    def _list(self, kind: str, query: Json, request: web.Request) -> web.StreamResponse:
        with self._lock:
            version, start = self.version, 0
            if token := query.get("continue"):
                version, start = json.loads(base64.b64decode(token))
                if self.expire_tokens or version not in self._states:
                    self.expire_tokens = max(0, self.expire_tokens - 1)
                    return _refused(410, "Expired", "The provided continue parameter is too old")
            self._states.setdefault(version, {}).setdefault(kind, list(self._objects[kind].values()))
            found = self._states[version][kind]
        if selector := query.get("fieldSelector"):
            node = selector.removeprefix("spec.nodeName=")
            found = [each for each in found if each["spec"].get("nodeName") == node]
        limit = min(int(query.get("limit") or self.most), self.most)
        items = found[start : start + limit]
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(found):
            metadata["continue"] = base64.b64encode(json.dumps([version, start + limit]).encode()).decode()
            metadata["remainingItemCount"] = len(found) - start - limit  # type: ignore[assignment]
        if "PartialObjectMetadataList" in request.headers.get("Accept", ""):
            items = [_partial(each) for each in items]
        return web.json_response({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items})

    async def _watch(self, kind: str, query: Json, request: web.Request) -> web.StreamResponse:
        since, ends, told = int(query["resourceVersion"]), self.counts["end"], 0
        partial = "PartialObjectMetadata" in request.headers.get("Accept", "")
        bookmarks = query.get("allowWatchBookmarks", "").lower() == "true"
        expired = since < self.oldest
        gone = status(410, "Expired", f"too old resource version: {since} ({self.oldest})")
        if expired and not self.as_event:
            return web.json_response(gone, status=410)
        response = web.StreamResponse(headers={"Content-Type": "application/json;stream=watch"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if expired:
            await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return response
        assert self._moved is not None
        while ends == self.counts["end"]:
            moved = self._moved
            with self._lock:
                new = [change for change in self._history[kind] if change.version > since]
            for change in new:
                since = change.version
                if change.type == "BOOKMARK" and not bookmarks:
                    continue
                line = _line(change, partial)
                if told == self.drop_after:
                    self.drop_after = -1
                    await response.write(line[: len(line) // 2])
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                await response.write(line)
                told += 1
            if not new:
                await moved.wait()
        return response

    # Running --------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._move)

    def _move(self) -> None:
        assert self._moved is not None
        self._moved.set()
        self._moved = asyncio.Event()

    @contextmanager
    def serving(self, context: ssl.SSLContext | None = None, port: int = 0) -> Iterator["ApiServer"]:
        """Serve in a thread of its own: the client blocks."""
        started, ready = asyncio.new_event_loop(), threading.Event()

        async def serve() -> None:
            self._loop, self._moved = asyncio.get_running_loop(), asyncio.Event()
            runner = web.AppRunner(self.application(), shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
            await site.start()
            bound = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            self.url = f"{'https' if context else 'http'}://127.0.0.1:{bound}"
            ready.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await runner.cleanup()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        def run() -> None:
            asyncio.set_event_loop(started)
            self._task = started.create_task(serve())
            started.run_until_complete(self._task)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            started.call_soon_threadsafe(self._task.cancel)
            thread.join(10)
            self._loop = None
            started.close()

    def watches(self, kind: str) -> list[Json]:
        """Return the queries of the watches of a kind."""
        return [query for found, what, query in self.requests if (found, what) == (kind, "watch")]

    def lists(self, kind: str) -> list[Json]:
        return [query for found, what, query in self.requests if (found, what) == (kind, "list")]


def _line(change: Change, partial: bool) -> bytes:
    if change.type == "BOOKMARK":
        found: Any = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(change.version)}}
    else:
        found = _partial(change.object) if partial and "metadata" in change.object else change.object
    return json.dumps({"type": change.type, "object": found}).encode() + b"\n"


def _partial(found: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}


def _refused(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(status(code, reason, message), status=code, headers=headers)


def kubeconfig(folder: Path, server: ApiServer, ca: Path | None = None, token: str = "") -> str:
    """Write a kubeconfig for the server; return its path."""
    cluster: Json = {"server": server.url}
    if ca:
        cluster["certificate-authority"] = str(ca)
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token} if token else {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(found))
    return str(path)


# Objects as a cluster has them --------------------------------------------------------------------------------------


def thing(name: str, namespace: str = "", owner: tuple[str, str, str] | None = None, **more: Any) -> Json:
    """Return an object; ``owner`` is (kind, name, uid) of its controller."""
    metadata: Json = {"name": name, "uid": f"uid-{namespace}-{name}", **more}
    if namespace:
        metadata["namespace"] = namespace
    if owner:
        kind, owner_name, uid = owner
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": uid, "controller": True}
        ]
    return {"kind": "Thing", "apiVersion": "v1", "metadata": metadata}


def pod(name: str, namespace: str = "shop", node: str = "node-1", container: str = "", **spec: Any) -> Json:
    owner = spec.pop("owner", None)
    labels = spec.pop("labels", {"app": "web"})
    found = thing(name, namespace, owner, labels=labels, **spec.pop("metadata", {}))
    found["spec"] = {
        "nodeName": node,
        "serviceAccountName": "web",
        "containers": [{"name": "c", "image": "registry:5000/web:1"}],
        **spec,
    }
    found["status"] = {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "containerStatuses": [
            {
                "name": "c",
                "containerID": f"containerd://{container}",
                "imageID": f"registry:5000/web@sha256:{'0f' * 32}",
            },
            {"name": "built here", "imageID": "sha256:" + "aa" * 32},
        ]
        if container
        else [],
    }
    return found


def fill(server: ApiServer) -> None:
    """Put a small shop into the cluster: a deployment, its replica set and pod, and what they stand on."""
    server.put("namespaces", thing("shop", labels={"team": "shop", "kubernetes.io/metadata.name": "shop"}))
    server.put("nodes", thing("node-1", labels={"zone": "a"}))
    server.put("serviceaccounts", thing("web", "shop", labels={"app": "web"}))
    server.put("deployments", thing("web", "shop", labels={"app": "web", "tier": "front"}))
    server.put("replicasets", thing("web-5d9", "shop", ("Deployment", "web", "uid-shop-web"), labels={"hash": "5d9"}))
    server.put("pods", pod("web-5d9-x", owner=("ReplicaSet", "web-5d9", "uid-shop-web-5d9"), container="ab" * 32))
    for name, selector in (("web", {"app": "web"}), ("db", {"app": "db"}), ("none", None)):
        service = thing(name, "shop", labels={"svc": name})
        server.put("services", {**service, "spec": {"selector": selector} if selector else {}})
