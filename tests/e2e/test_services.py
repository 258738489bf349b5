"""Gateway and Socket.IO service out of their images, as a client in the cluster meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e.installation import DEPLOY, Release, prepared, step
from support import tools
from support.dictation import wrong_words
from support.speech import BECKETT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.cluster import Cluster

pytestmark = pytest.mark.e2e

KEY = "an-api-key-of-the-tests"
SIGNING_KEY = "a-signing-key-of-the-tests-0123456789"
SECRETS = {"gateway-keys": {"apiKeys": KEY, "signingKeys": SIGNING_KEY}, "stt-keys": {"apiKeys": KEY}}

SMALL = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
"""Three Pods of it fit on a node of two cores."""

CLIENT = (Path(__file__).parent / "client.py").read_text()


class Services(Release):
    """A release with everything, its keys, and a Pod from which it is called."""

    def put_services(self) -> None:
        """Install all components, with two Pods of what clients connect to, and whatever the chart can restrict."""
        for name, keys in SECRETS.items():
            literals = [f"--from-literal={key}={value}" for key, value in keys.items()]
            self.cluster.kubectl("create", "secret", "generic", name, "-n", self.namespace, *literals)
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", str(DEPLOY / "samples" / "credentials.yaml"))
        guarded: dict[str, Any] = {"enabled": True, "replicas": 2, "networkPolicy": {"enabled": True}}
        self.put(
            "install",
            DEPLOY / "chart",
            gateway=guarded
            | {"keysSecret": "gateway-keys", "namespace": self.tasks, "projectSecret": "agora-credentials"},
            stt=guarded | {"keysSecret": "stt-keys", "resources": SMALL},
        )

    def put_client(self) -> None:
        """Start the Pod, under the same rules as all others."""
        container = self.deployment("stt")["template"]["spec"]["containers"][0]
        asleep = {"name": "client", "command": ["python3", "-c", "import time; time.sleep(3600)"]}
        same = {key: container[key] for key in ("image", "imagePullPolicy", "securityContext")}
        context = self.deployment("stt")["template"]["spec"]["securityContext"]
        spec = {"containers": [asleep | same], "securityContext": context, "automountServiceAccountToken": False}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump(pod))
        self.cluster.kubectl("wait", "-n", self.namespace, "--for=condition=Ready", "pod/client", "--timeout=60s")

    def deployment(self, component: str) -> dict[str, Any]:
        name = f"deployment/agora-transcription-{component}"
        found: dict[str, Any] = json.loads(self.cluster.kubectl("get", "-n", self.namespace, name, "-o", "json"))[
            "spec"
        ]
        return found

    def client(self, *arguments: str) -> Any:
        """Run the client in its Pod; answers what it printed."""
        inside = ("exec", "-i", "-n", self.namespace, "client", "--", "python3", "-", *arguments)
        return json.loads(self.cluster.kubectl(*inside, stdin=CLIENT))

    def call(self, path: str, body: dict[str, Any] | None = None, *, key: str = KEY) -> tuple[int, str]:
        """Call the gateway through its Service; answers the status and the text."""
        url = f"http://agora-transcription-gateway:4321{path}"
        status, text = self.client("call", "GET" if body is None else "POST", url, key, json.dumps(body))
        return status, text

    def channels(self) -> list[str]:
        """Of the objects that there are."""
        return self.task("get", "ttask", "-o", "jsonpath={.items[*].spec.channel}").split()

    def remove(self) -> None:
        self.cluster.kubectl("delete", "pod", "client", "-n", self.namespace, "--ignore-not-found", "--now")
        super().remove()


@pytest.fixture
def services(cluster: Cluster, image: str) -> Iterator[Services]:
    yield from prepared(Services(cluster, image, tools.find("helm4")), "services")


def test_clients_call_the_gateway_and_speak_to_the_socket_io_service(services: Services) -> None:
    with step("install all components"):
        services.put_services()
    with step("start a client"):
        services.put_client()
    assert services.call("/api/transcription/start.json", {"channel": "standup"}, key="another")[0] == 401
    assert services.channels() == []

    with step("start.json"):
        status, text = services.call("/api/transcription/start.json", {"channel": "standup"})
    assert status == 200, text
    ids = json.loads(text)
    assert services.channels() == ["standup"]
    assert services.live() == [ids["taskId"]]
    status, text = services.call("/api/transcription/query.json", ids)
    assert (status, json.loads(text)["status"]) == (200, "IN_PROGRESS")
    wanted = {"channel": "standup", "uid": 7, "expireTime": 60, "role": "publisher"}
    assert services.call("/api/tokens.json", wanted)[0] == 200
    assert services.call("/captions/")[0] == 200
    with step("stop.json"):
        assert services.call("/api/transcription/stop.json", ids) == (200, "{}")
    assert services.live() == []
    assert services.channels() == []
    assert services.agora("/simulator/doubles") == []

    for transport in ("websocket", "polling"):
        with step(f"speak by {transport}"):
            heard = services.client("speak", "http://agora-transcription-stt:4322", KEY, transport)
        assert wrong_words(heard, BECKETT) <= 3, heard
