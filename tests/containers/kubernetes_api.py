"""As much of a Kubernetes API server as `kubectl apply` asks: it keeps what fits Kubernetes' own schemas.

No cluster: nothing is admitted, scheduled or scaled.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
import kubernetes_validate
from werkzeug.serving import make_server

VERSION = "1.32"
Json = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of object, and where it lies."""

    group: str
    version: str
    plural: str
    name: str

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}".lstrip("/")

    @property
    def root(self) -> str:
        return f"{'apis' if self.group else 'api'}/{self.group_version}"

    @property
    def objects(self) -> str:
        return f"{self.root}/namespaces/default/{self.plural}"


KINDS = (
    Kind("", "v1", "services", "Service"),
    Kind("apps", "v1", "deployments", "Deployment"),
    Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
)


@dataclass
class KubernetesApi:
    """What it is asked for, by address, and the objects that were applied, by kind."""

    documents: dict[str, Json] = field(default_factory=lambda: _documents())
    objects: dict[str, Json] = field(default_factory=dict)

    def answer(self, path: str) -> Any:
        """One request; of each kind it keeps one object."""
        if path in self.documents:
            return self.documents[path]
        for kind in KINDS:
            if path.startswith(kind.objects) and flask.request.method == "POST":
                return self._keep(kind.name, flask.request.get_json())
            if path.startswith(kind.objects) and kind.name in self.objects:
                return self.objects[kind.name]
        return _refusal("NotFound", path, 404)

    def _keep(self, kind: str, sent: Json) -> Any:
        try:
            kubernetes_validate.validate(sent, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return _refusal("Invalid", error.message, 422)
        self.objects[kind] = sent
        return sent, 201


@contextmanager
def kubernetes_api() -> Iterator[tuple[KubernetesApi, str]]:
    """It, and its address, until the block ends."""
    api, app = KubernetesApi(), flask.Flask("kubernetes")
    app.add_url_rule("/<path:path>", view_func=api.answer, methods=["GET", "POST"])
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def _documents() -> dict[str, Json]:
    """What there is, and that the server itself checks the fields of what it is sent."""
    groups = []
    for kind in KINDS[1:]:  # the first is of the core, which is no group
        version = {"groupVersion": kind.group_version, "version": kind.version}
        groups.append({"name": kind.group, "versions": [version], "preferredVersion": version})
    found: dict[str, Json] = {
        "version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
        "api": {"kind": "APIVersions", "versions": ["v1"]},
        "apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        "openapi/v3": {"paths": {kind.root: {"serverRelativeURL": f"/openapi/v3/{kind.root}"} for kind in KINDS}},
    }
    for kind in KINDS:
        listed = {"name": kind.plural, "singularName": kind.name.lower(), "namespaced": True, "kind": kind.name}
        listed["verbs"] = ["create", "get", "list"]
        found[kind.root] = {"kind": "APIResourceList", "groupVersion": kind.group_version, "resources": [listed]}
        found[f"openapi/v3/{kind.root}"] = _openapi(kind)
    return found


def _openapi(kind: Kind) -> Json:
    check = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    named = {"group": kind.group, "version": kind.version, "kind": kind.name}
    patch = {"parameters": [check], "x-kubernetes-group-version-kind": named, "responses": {}}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": {f"/{kind.objects}/{{name}}": {"patch": patch}},
    }


def _refusal(reason: str, message: str, code: int) -> tuple[Json, int]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
    return {**status, "message": message}, code
