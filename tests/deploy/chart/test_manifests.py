"""What the chart renders is taken by Kubernetes' schemas, by the real API server, and fits together."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest
import yaml

from agora_transcription import __version__
from agora_transcription.local.cluster import KubectlError
from support import tools
from support.helm import CHART, MONITORING, ci_values, helm, one, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.controlplane import ControlPlane
    from support.kube import Body

KUBERNETES = ("1.32", "1.36")
"""The oldest that the chart says it is for, and the one of the control plane here."""

PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

DRY_RUN = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--filename=-")

every_ci_file = pytest.mark.parametrize("values", ci_values().values(), ids=ci_values())


@pytest.fixture(scope="module")
def monitored(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A cluster with the APIs of the Prometheus Operator, and a namespace that enforces restricted Pods."""
    folder = tools.module(PROMETHEUS_OPERATOR) / "example" / "prometheus-operator-crd"
    names = [f"{kind.lower()}s" for kind in MONITORING]
    files = [f"--filename={folder / f'monitoring.coreos.com_{name}.yaml'}" for name in names]
    control_plane.kubectl("apply", "--server-side", *files)
    for name in names:
        crd = f"crd/{name}.monitoring.coreos.com"
        control_plane.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s")
    for namespace in ("restricted", "team-a"):
        control_plane.kubectl("create", "namespace", namespace)
        control_plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield control_plane
    control_plane.kubectl("delete", "namespace", "restricted", "team-a", "--wait=false")
    control_plane.kubectl("delete", *files)


@pytest.mark.parametrize("version", KUBERNETES)
@every_ci_file
def test_kubernetes_schemas_take_every_object(values: list[str], version: str) -> None:
    rendered = [
        body
        for body in template(*values, kubernetes=version)
        if not body["apiVersion"].startswith("monitoring.coreos.com")
    ]
    for body in rendered:
        kubernetes_validate.validate(body, version, strict=True)


@every_ci_file
def test_api_server_takes_every_object(monitored: ControlPlane, values: list[str]) -> None:
    """All of them, those of the Prometheus Operator by its own CRDs."""
    rendered = template(*values, "--set=operator.watchNamespaces={restricted,team-a}", namespace="restricted")
    applied = monitored.kubectl(*DRY_RUN, stdin=yaml.safe_dump_all(rendered))
    assert applied.count("(server dry run)") == len(rendered)


@every_ci_file
def test_pods_run_where_pod_security_is_restricted(monitored: ControlPlane, values: list[str]) -> None:
    for pod in pods(values):
        assert "pod/judged" in monitored.kubectl(*DRY_RUN, stdin=yaml.safe_dump(pod))


def test_pod_security_is_enforced_there(monitored: ControlPlane) -> None:
    [pod] = pods([])
    del pod["spec"]["containers"][0]["securityContext"]
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted:latest"'):
        monitored.kubectl(*DRY_RUN, stdin=yaml.safe_dump(pod))


def test_names_that_yaml_reads_as_numbers_stay_names(control_plane: ControlPlane) -> None:
    """As Helm writes them: the one here writes other text than it has read."""
    names = "operator.watchNamespaces={007,0x10},fullnameOverride=0b1,operator.serviceAccount.name=0o7"
    values = ("--set=crds.enabled=false", "--set-string", names, *ci_values()["full"])
    written = helm("helm4", "template", "1e6", CHART, "--namespace=007", *values)
    for namespace in ("007", "0x10"):
        control_plane.kubectl("create", "namespace", namespace)
    applied = control_plane.kubectl(*DRY_RUN, stdin=written)
    control_plane.kubectl("delete", "namespace", "007", "0x10", "--wait=false")
    assert "deployment.apps/0b1-operator serverside-applied (server dry run)" in applied
    assert "serviceaccount/0o7 " in applied


@every_ci_file
def test_objects_say_what_they_belong_to(values: list[str]) -> None:
    for body in template(*values):
        labels = body["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "agora-transcription"
        assert labels["app.kubernetes.io/instance"] == "agora-transcription"
        assert labels["app.kubernetes.io/part-of"] == "agora-transcription"
        assert labels["app.kubernetes.io/version"] == __version__
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"] == f"agora-transcription-{__version__}"


@every_ci_file
def test_what_selects_pods_finds_those_of_its_component(values: list[str]) -> None:
    rendered = template(*values)
    pods = {
        component(body): body["spec"]["template"]["metadata"]["labels"].items() for body in of(rendered, "Deployment")
    }
    services = {component(body): body["metadata"]["labels"].items() for body in of(rendered, "Service")}
    assert pods or not services
    for body in rendered:
        match body["kind"]:
            case "Service":
                selector, found = body["spec"]["selector"], pods
            case "Deployment" | "PodDisruptionBudget" | "PodMonitor":
                selector, found = body["spec"]["selector"]["matchLabels"], pods
            case "NetworkPolicy":
                selector, found = body["spec"]["podSelector"]["matchLabels"], pods
            case "ServiceMonitor":
                selector, found = body["spec"]["selector"]["matchLabels"], services
            case _:
                continue
        assert len(selector) == 3, body["kind"]
        assert [name for name, labels in found.items() if selector.items() <= labels] == [component(body)], body["kind"]


@pytest.mark.parametrize(
    ("ci", "of_the_service", "others"),
    [
        ("full", {"metrics", "webhooks"}, {"health"}),
        ("gateway", {"http", "metrics"}, {"health"}),
        ("stt", {"http", "metrics"}, {"health"}),
    ],
)
def test_names_of_ports_are_those_of_the_container(ci: str, of_the_service: set[str], others: set[str]) -> None:
    rendered = template(*ci_values()[ci])
    container = one(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    assert ports == of_the_service | others
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "health"
    }
    assert {port["targetPort"] for port in one(rendered, "Service")["spec"]["ports"]} == of_the_service
    ingress = one(rendered, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in ingress for port in rule["ports"]} == ports
    assert one(rendered, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    assert one(rendered, "ServiceMonitor")["spec"]["endpoints"][0]["port"] == "metrics"


@every_ci_file
def test_roles_are_bound_to_the_pods_account(values: list[str]) -> None:
    rendered = template(*values)
    accounts = {
        component(body): body["spec"]["template"]["spec"]["serviceAccountName"] for body in of(rendered, "Deployment")
    }
    assert len(set(accounts.values())) == len(accounts)
    roles = {(body["kind"], key(body)) for body in of(rendered, "Role", "ClusterRole")}
    for body in of(rendered, "RoleBinding", "ClusterRoleBinding"):
        account = accounts[component(body)]
        assert body["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "agora-transcription"}]
        name = (body["metadata"].get("namespace"), body["roleRef"]["name"])
        assert (body["roleRef"]["kind"], name) in roles


def test_who_hears_what_is_spoken_may_do_nothing_in_the_cluster() -> None:
    rendered = template(*ci_values()["together"])
    assert "stt" not in {
        component(body) for body in of(rendered, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    }
    mounted = {
        component(body): body["spec"]["template"]["spec"]["automountServiceAccountToken"]
        for body in of(rendered, "Deployment")
    }
    assert mounted == {"operator": True, "gateway": True, "stt": False}


@every_ci_file
def test_nobody_lists_secrets_and_users_get_none(values: list[str]) -> None:
    for body in template(*values):
        for rule in body.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert body["metadata"]["name"].endswith(("-operator", "narrow-operator"))


def key(body: Body) -> tuple[str | None, str]:
    return body["metadata"].get("namespace"), body["metadata"]["name"]


def component(body: Body) -> str:
    return str(body["metadata"]["labels"].get("app.kubernetes.io/component"))


def of(rendered: list[Body], *kinds: str) -> list[Body]:
    return [body for body in rendered if body["kind"] in kinds]


def pods(values: list[str]) -> list[Body]:
    """The Deployments' templates as Pods, which the API server judges at once."""
    made = [copy.deepcopy(body["spec"]["template"]) for body in of(template(*values), "Deployment")]
    assert made
    for pod in made:
        pod["metadata"] |= {"name": "judged", "namespace": "restricted"}
    return [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in made]
