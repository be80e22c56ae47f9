"""A Kubernetes of one node on this host, in namespaces of its own, of the binaries that `kubernetes.sh` builds.

Network, mounts and processes are not those of the host: chains of the proxy, volumes of pods and processes of all
containers are gone when the first process of the namespace ends. The host is a second machine on a wire, with routes to
the addresses of pods and services. No network plugin and no name service run: policies are stored, not enforced.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.deploy.docker import Docker, wait_for, wrapped_runtime

NEEDED = ("dockerd", "runc", "etcd", "catatonit", "iptables", "ip", "nsenter", "kubectl")
HOST, NODE = "10.97.31.1", "10.97.31.2"
BRIDGE, SERVICES, BOTH = "10.98.0.1/17", "10.98.128.0/17", "10.98.0.0/16"
_WRITTEN = ("/var/lib/kubelet", "/var/lib/dockershim", "/var/log")
"""Where the kubelet writes whatever it is told."""
_DEVICE = "assaykube"
_TOKEN = "cluster-of-a-test"
_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": f"https://{NODE}:6443"}}],
    "users": [{"name": "u", "user": {"token": _TOKEN}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "assay"}}],
    "current-context": "x",
}
_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "cgroupfs",
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "failSwapOn": False,
    "oomScoreAdj": 0,
    "resolvConf": "",
    "imageGCHighThresholdPercent": 100,
    "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "featureGates": {"ProcMountType": True},
}


@dataclass(frozen=True)
class Cluster:
    """What tests ask of it."""

    folder: Path
    docker: Docker

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run the command.

        Returns:
            What it printed.
        """
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.folder}/kubeconfig", *arguments],
            input=text, text=True, capture_output=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def get(self, path: str) -> dict[str, Any]:
        """Ask the API server, as a controller would."""
        call = urllib.request.Request(f"https://{NODE}:6443{path}", headers={"authorization": f"Bearer {_TOKEN}"})
        trusted = ssl.create_default_context(cafile=str(self.folder / "certificates" / "apiserver.crt"))
        with urllib.request.urlopen(call, timeout=30, context=trusted) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def pods(self, name: str) -> dict[str, bool]:
        """Pods of a server that are there, and whether each is ready and stays."""
        found = self.get(f"/api/v1/namespaces/assay/pods?labelSelector=app.kubernetes.io/name={name}")["items"]
        return {
            one["metadata"]["name"]: "deletionTimestamp" not in one["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"].get("conditions", ()))
            for one in found
        }

    def addresses_of(self, selector: str) -> dict[str, str]:
        """Addresses of the pods of a label selector that have one."""
        found = self.get(f"/api/v1/namespaces/assay/pods?labelSelector={quote(selector)}")["items"]
        return {one["metadata"]["name"]: one["status"]["podIP"] for one in found if "podIP" in one["status"]}

    def addresses(self, name: str) -> list[str]:
        """Where the pods of a service are that are ready."""
        subsets = self.get(f"/api/v1/namespaces/assay/endpoints/{name}").get("subsets", ())
        return [f"{one['ip']}:50051" for subset in subsets for one in subset.get("addresses", ())]


@contextmanager
def cluster(folder: Path, binaries: Path) -> Iterator[Cluster]:
    """Start it, and take everything away at the end."""
    with ExitStack() as left:
        inside = left.enter_context(_namespaces(folder))
        left.enter_context(_wire(inside))
        enter = ("nsenter", "--target", str(inside), "--net", "--mount", "--pid", "--")

        def start(name: str, *command: str | Path) -> None:
            log = left.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen([*enter, *command], stdout=log, stderr=log)
            left.callback(process.wait)
            left.callback(process.kill)

        made = Cluster(folder, Docker(f"unix://{folder}/docker.sock"))
        start("dockerd", "dockerd", "--config-file", _docker_settings(folder))
        wait_for(lambda: _answers(made.docker), "dockerd")
        _pause(made.docker, folder)
        _control_plane(start, folder, binaries)
        certificate = folder / "certificates" / "apiserver.crt"
        wait_for(certificate.exists, "the API server's certificate", 120)
        config = json.loads(json.dumps(_KUBECONFIG))
        config["clusters"][0]["cluster"]["certificate-authority"] = str(certificate)
        (folder / "kubeconfig").write_text(json.dumps(config))
        wait_for(lambda: _ready(made), "the API server", 180)
        _workers(start, folder, binaries)
        wait_for(lambda: " Ready" in made.kubectl("get", "nodes", "--no-headers"), "the node", 300)
        try:
            yield made
        finally:
            with suppress(AssertionError, subprocess.TimeoutExpired):
                made.kubectl("delete", "namespace", "assay", "--ignore-not-found", "--timeout=180s")


@contextmanager
def _namespaces(folder: Path) -> Iterator[int]:
    """Namespaces whose first process only reaps; its number."""
    hold = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "catatonit", "-P"]
    with subprocess.Popen(hold) as holder:
        try:
            wait_for(lambda: _first(holder.pid) is not None, "namespaces")
            first = _first(holder.pid)
            assert first is not None
            within = ("nsenter", "--target", str(first), "--mount", "--pid", "--")
            for path in map(Path, _WRITTEN):
                own = folder / path.name
                for made in (path, own):
                    made.mkdir(exist_ok=True)
                subprocess.run([*within, "mount", "--bind", own, path], check=True)
            yield first
        finally:
            holder.kill()  # and the kernel all the others


def _first(holder: int) -> int | None:
    with suppress(psutil.Error):
        for one in psutil.Process(holder).children():
            if one.name() == "catatonit":
                return one.pid
    return None


@contextmanager
def _wire(inside: int) -> Iterator[None]:
    """A wire between the host and the namespace, with routes to what is in it."""

    def ip(*arguments: str, within: bool = False) -> None:
        enter = ("nsenter", "--target", str(inside), "--net", "--") if within else ()
        subprocess.run([*enter, "ip", *arguments], check=True)

    subprocess.run(["ip", "link", "delete", _DEVICE], capture_output=True, check=False)
    ip("link", "add", _DEVICE, "type", "veth", "peer", "name", "eth0", "netns", str(inside))
    try:
        ip("address", "add", f"{HOST}/24", "dev", _DEVICE)
        ip("link", "set", _DEVICE, "up")
        ip("link", "set", "lo", "up", within=True)
        ip("address", "add", f"{NODE}/24", "dev", "eth0", within=True)
        ip("link", "set", "eth0", "up", within=True)
        ip("route", "add", "default", "via", HOST, within=True)
        ip("route", "add", BOTH, "via", NODE)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", _DEVICE], capture_output=True, check=False)


def _docker_settings(folder: Path) -> Path:
    settings: dict[str, Any] = {"hosts": [f"unix://{folder}/docker.sock"], "bip": BRIDGE, "iptables": False}
    settings |= {"ip6tables": False, "data-root": f"{folder}/data", "exec-root": f"{folder}/exec"}
    settings |= {"pidfile": f"{folder}/docker.pid", "default-runtime": "wrapped"}
    settings |= {"runtimes": {"wrapped": {"path": str(wrapped_runtime(folder))}}}
    (folder / "daemon.json").write_text(json.dumps(settings))
    return folder / "daemon.json"


def _answers(docker: Docker) -> bool:
    done = subprocess.run(["docker", "info"], env=docker.environment, capture_output=True, check=False)
    return done.returncode == 0


def _pause(docker: Docker, folder: Path) -> None:
    """The image that holds a pod's namespaces: a process that only reaps."""
    found = shutil.which("catatonit")
    assert found is not None
    with tarfile.open(folder / "pause.tar", "w") as archive:
        archive.add(found, "catatonit")
    docker("import", "--change", 'ENTRYPOINT ["/catatonit", "-P"]', folder / "pause.tar", "pause:test")


def _control_plane(start: Callable[..., None], folder: Path, binaries: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    accounts = folder / "accounts.key"
    accounts.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (folder / "tokens.csv").write_text(f'{_TOKEN},operator,operator,"system:masters"\n')
    etcd = "http://127.0.0.1:2379"
    start(
        *("etcd", "etcd", "--unsafe-no-fsync", f"--data-dir={folder}/etcd"),
        *(
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            "--listen-peer-urls=http://127.0.0.1:2380",
        ),
    )
    start(
        *("apiserver", binaries / "kube-apiserver", f"--etcd-servers={etcd}", f"--advertise-address={NODE}"),
        *("--secure-port=6443", f"--cert-dir={folder}/certificates", f"--token-auth-file={folder}/tokens.csv"),
        *("--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"),
        *(f"--service-cluster-ip-range={SERVICES}", "--service-account-issuer=https://kubernetes.default.svc"),
        *(f"--service-account-key-file={accounts}", f"--service-account-signing-key-file={accounts}"),
        "--feature-gates=ProcMountType=true",
    )


def _workers(start: Callable[..., None], folder: Path, binaries: Path) -> None:
    config = f"--kubeconfig={folder}/kubeconfig"
    (folder / "kubelet.json").write_text(json.dumps(_KUBELET))
    alone = ("--port=0", "--leader-elect=false", f"--cert-dir={folder}/certificates.more")
    # A node that is slow to report is a busy machine here, and not lost.
    start("controllers", binaries / "kube-controller-manager", config, *alone, "--node-monitor-grace-period=300s")
    start("scheduler", binaries / "kube-scheduler", config, *alone)
    start(
        *("kubelet", binaries / "kubelet", config, f"--config={folder}/kubelet.json", "--container-runtime=docker"),
        *(f"--docker-endpoint=unix://{folder}/docker.sock", "--pod-infra-container-image=pause:test"),
        *(f"--node-ip={NODE}", "--hostname-override=node", f"--cert-dir={folder}/certificates.kubelet"),
    )
    start(
        *("proxy", binaries / "kube-proxy", config, "--proxy-mode=iptables", "--hostname-override=node"),
        *("--oom-score-adj=0", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"),
        "--conntrack-tcp-timeout-close-wait=0",
    )


def _ready(made: Cluster) -> bool:
    with suppress(AssertionError):
        return made.kubectl("get", "--raw", "/readyz") == "ok"
    return False
