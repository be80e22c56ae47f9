"""The manifests are valid for several versions of Kubernetes, and say of each server what it needs and no more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from reward_servers.config import ServerConfig
from reward_servers.gateway.settings import GatewayConfig
from trainer_client import Recipe

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("base", *(f"overlays/{name}" for name in ("math", "tls", "gvisor", "gpu", "monitoring", "keda", "gateway")))
VERSIONS = ("1.30", "1.32", "1.34")
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
"""Kinds of operators, for which Kubernetes itself has no schema."""


def render(folder: str) -> list[dict[str, Any]]:
    """The objects of an overlay."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES / folder], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        pytest.fail(done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def render_together(folder: Path, *components: str, **more: Any) -> list[dict[str, Any]]:
    """The objects of the base with several components, as a site of one's own in that folder puts them together."""
    here = os.path.relpath(KUBERNETES, folder.resolve())
    told = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{here}/base"],
        "components": [f"{here}/components/{name}" for name in components],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(told))
    return render(str(folder))


def deployments(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod specification of each deployment."""
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment"}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_object_fits_the_schemas(folder: str) -> None:
    objects = render(folder)
    for version in VERSIONS:
        for one in objects:
            if one["kind"] not in CUSTOM:
                kubernetes_validate.validate(one, version, strict=True)


def test_a_misspelt_field_is_noticed() -> None:
    """The check above can fail."""
    one = next(one for one in render("base") if one["kind"] == "Deployment")
    one["spec"]["template"]["spec"]["hostUser"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_server_is_confined(folder: str) -> None:
    for name, pod in deployments(render(folder)).items():
        (server,) = pod["containers"]
        context = server["securityContext"]
        assert (context["runAsNonRoot"], context["readOnlyRootFilesystem"]) == (True, True), name
        assert (context["capabilities"], context["allowPrivilegeEscalation"]) == ({"drop": ["ALL"]}, False), name
        assert pod["automountServiceAccountToken"] is False, name
        # What the sandbox asks of the cluster is given to the server of programs alone, in a user namespace of its pod.
        assert (context.get("procMount") == "Unmasked") is (name == "code"), name
        assert (context["seccompProfile"]["type"] == "Unconfined") is (name == "code"), name
        assert name != "code" or pod["hostUsers"] is False


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_pod_outlives_its_drain(folder: str) -> None:
    objects = render(folder)
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    for name, pod in deployments(objects).items():
        named = next(v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v)
        if name == "gateway":  # has a recipe, and its settings as they are by themselves
            drains = GatewayConfig().server.drain_timeout_s
        else:
            drains = ServerConfig.model_validate(tomllib.loads(maps[named]["settings.toml"])).server.drain_timeout_s
        assert pod["terminationGracePeriodSeconds"] > drains


def test_the_gateway_asks_servers_of_the_base_and_may_reach_them(tmp_path: Path) -> None:
    objects = render("overlays/gateway")
    (recipe,) = (one["data"]["recipe.toml"] for one in objects if "recipe.toml" in one.get("data", {}))
    (tmp_path / "recipe.toml").write_text(recipe)
    asked = {address for server in Recipe.load(tmp_path / "recipe.toml").servers for address in server.endpoints}
    services = {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}
    assert asked == {f"dns:///{name}.assay.svc.cluster.local:50051" for name in ("math", "code")}
    assert {"math", "code", "gateway"} <= services
    # A policy selects pods: what it names has to be a label of theirs.
    labels = [one["spec"]["template"]["metadata"]["labels"].items() for one in objects if one["kind"] == "Deployment"]
    for one in objects:
        if one["kind"] == "NetworkPolicy":
            chosen = one["spec"]["podSelector"].get("matchLabels", {}).items()
            assert any(chosen <= of_pod for of_pod in labels), one["metadata"]["name"]


def test_components_go_together(tmp_path: Path) -> None:
    objects = render_together(tmp_path, "gpu", "gateway", "tls", "keda", "gvisor")
    pods = deployments(objects)
    assert set(pods) == {"math", "code", "judge", "preference", "gateway"}
    secured = {name for name, pod in pods.items() if any("secret" in volume for volume in pod["volumes"])}
    assert secured == {"math", "code", "judge"}
    # What is scraped, and named in alerts, is found by this label.
    services = [one["metadata"] for one in objects if one["kind"] == "Service"]
    assert {one["labels"]["app.kubernetes.io/part-of"] for one in services} == {"assay"}


PAIRS = [
    pair
    for pair in combinations(("tls", "gvisor", "gpu", "monitoring", "keda", "gateway", "math"), 2)
    # The one contains the other; and of what is left beside `math` nothing runs programs.
    if pair not in (("monitoring", "keda"), ("gvisor", "math"))
]
"""Components that go together, `math` last as the page says."""


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_what_two_components_name_is_there(tmp_path: Path, pair: tuple[str, str]) -> None:
    objects = render_together(tmp_path, *pair)
    pods = [one["spec"]["template"]["metadata"]["labels"].items() for one in objects if one["kind"] == "Deployment"]
    services = [one for one in objects if one["kind"] == "Service"]
    labels = [one["metadata"]["labels"].items() for one in services]
    scaled = []
    for one in objects:
        spec, kind, name = one.get("spec", {}), one["kind"], f"{one['kind']} {one['metadata']['name']}"
        if kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            scaled.append(spec["scaleTargetRef"]["name"])
        chosen = spec.get("podSelector" if kind == "NetworkPolicy" else "selector")
        if kind in ("NetworkPolicy", "PodDisruptionBudget"):
            assert any(chosen.get("matchLabels", {}).items() <= of_pod for of_pod in pods), name
        if kind == "Service":
            assert any(chosen.items() <= of_pod for of_pod in pods), name
        if kind == "ServiceMonitor":
            ports = {port["name"] for service in services for port in service["spec"]["ports"]}
            assert any(chosen["matchLabels"].items() <= of_service for of_service in labels), name
            assert {endpoint["port"] for endpoint in spec["endpoints"]} <= ports, name
    assert set(scaled) <= set(deployments(objects))
    assert len(scaled) == len(set(scaled)), "two would fight over the same replicas"


def test_images_of_components_are_set_in_a_site_of_ones_own(tmp_path: Path) -> None:
    names = ("assay-gateway", "assay-preference-cuda")
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    for name in names:
        assert f"set image registry.example.org/{name}=REGISTRY/{name}:TAG" in page
    images = [{"name": f"registry.example.org/{n}", "newName": f"REGISTRY/{n}", "newTag": "TAG"} for n in names]
    pods = deployments(render_together(tmp_path, "gateway", "gpu", images=images))
    used = {container["image"] for pod in pods.values() for container in pod["containers"]}
    assert {f"REGISTRY/{name}:TAG" for name in names} <= used


@pytest.mark.parametrize("components", [("tls", "gateway"), ("gateway", "tls")], ids="+".join)
def test_the_gateway_has_the_files_for_asking_servers_over_tls(tmp_path: Path, components: tuple[str, str]) -> None:
    """The paths that the page names are there, without the servers' key, and a recipe may name them."""
    pod = deployments(render_together(tmp_path, *components))["gateway"]
    (server,) = pod["containers"]
    (folder,) = (mount["mountPath"] for mount in server["volumeMounts"] if mount["name"] == "access")
    (volume,) = (volume["projected"] for volume in pod["volumes"] if volume["name"] == "access")
    secrets = [source["secret"] for source in volume["sources"]]
    assert {secret["name"] for secret in secrets} == {"server-tls", "tokens"}
    assert all(secret["optional"] for secret in secrets), "without `tls` there are none"
    files = {f"{folder}/{item['path']}" for secret in secrets for item in secret["items"]}
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    (told,) = re.findall(r"```toml\n(\[client\]\n.*?)```", page, re.DOTALL)
    client = tomllib.loads(told)["client"]
    assert {client["tls"]["ca"], client["token"].removeprefix("file:")} == files
    (tmp_path / "recipe.toml").write_text(f'{told}\n[rewards.right]\nverifier = "math"\n')
    assert Recipe.load(tmp_path / "recipe.toml").client is not None


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_page_names_every_image_that_has_to_be_set(folder: str) -> None:
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    for pod in deployments(render(folder)).values():
        for container in pod["containers"]:
            image = container["image"].rpartition("/")[2].partition(":")[0]
            assert f"{image}=REGISTRY/{image}:TAG" in page, image


def test_a_server_that_is_away_takes_no_gateway_from_its_service() -> None:
    (server,) = deployments(render("overlays/gateway"))["gateway"]["containers"]
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert "/ready" not in {server[probe].get("httpGet", {}).get("path") for probe in probes}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_what_is_scaled_names_no_number_of_replicas(folder: str) -> None:
    """It would undo the autoscaler's work at each `apply`."""
    objects = render(folder)
    scaled = {
        one["spec"]["scaleTargetRef"]["name"] for one in objects
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    }  # fmt: skip
    numbered = {one["metadata"]["name"] for one in objects if one["kind"] == "Deployment" and "replicas" in one["spec"]}
    assert "math" in scaled
    assert scaled.isdisjoint(numbered)


def test_one_server_can_be_had_alone() -> None:
    names = {"assay", "servers", "settings", "math"}
    found = {one["metadata"]["name"].partition("-")[0] for one in render("overlays/math")}
    assert {"math"} < found <= names
    assert set(deployments(render("overlays/math"))) == {"math"}


SCALED = {"math": (2, 8), "code": (2, 16), "judge": (2, 4)}
"""Fewest and most replicas of each server."""


def test_each_server_is_scaled_by_one_thing_in_each_overlay() -> None:
    """By processor in the base, by the queue with an adapter or KEDA; where KEDA scales, no autoscaler of ours does."""
    by_resource, by_queue, by_keda = (
        {one["metadata"]["name"]: one["spec"] for one in render(folder) if one["kind"] == kind}
        for folder, kind in (
            ("base", "HorizontalPodAutoscaler"),
            ("overlays/monitoring", "HorizontalPodAutoscaler"),
            ("overlays/keda", "ScaledObject"),
        )
    )
    assert {one["kind"] for one in render("overlays/keda")}.isdisjoint({"HorizontalPodAutoscaler"})
    for spec in by_resource.values():
        assert [one["type"] for one in spec["metrics"]] == ["Resource"]
    for spec in by_queue.values():
        (metric,) = spec["metrics"]
        assert metric["pods"]["metric"]["name"] == "assay_items_in_flight"
    for spec in by_keda.values():
        (trigger,) = spec["triggers"]
        assert "assay_items_in_flight{" in trigger["metadata"]["query"]
    for found in (by_resource, by_queue):
        assert {name: (spec["minReplicas"], spec["maxReplicas"]) for name, spec in found.items()} == SCALED
    assert {name: (spec["minReplicaCount"], spec["maxReplicaCount"]) for name, spec in by_keda.items()} == SCALED


def test_the_operators_rules_are_those_that_prometheus_reads_and_find_its_jobs() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "assay_rules.yml").read_text())
    objects = {one["kind"]: one for one in render("overlays/monitoring")}
    assert objects["PrometheusRule"]["spec"] == rules, "run deploy/prometheus/generate.py"
    services = [one["metadata"] for one in render("overlays/monitoring") if one["kind"] == "Service"]
    label = objects["ServiceMonitor"]["spec"]["jobLabel"]
    assert {one["labels"][label] for one in services} == {"assay"}  # up{job="assay"}


def test_compose_gives_the_sandbox_its_two_options_and_the_others_none() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if service["image"].startswith("assay-")}
    assert set(ours) == {"math", "code", "judge", "gateway"}
    for name, service in ours.items():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "65532:65532"
        assert ("seccomp=unconfined" in service["security_opt"]) is (name == "code")
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    ServerConfig.model_validate(tomllib.loads((DEPLOY / "docker" / "settings.toml").read_text()))
    asked = {
        address for server in Recipe.load(DEPLOY / "docker" / "recipe.toml").servers for address in server.endpoints
    }
    assert asked <= {f"{name}:50051" for name in ours}
