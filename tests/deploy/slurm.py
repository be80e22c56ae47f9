"""A Slurm of two nodes on this host, with munge, from the distribution's packages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.deploy.docker import free_port, wait_for

_CONF = """\
ClusterName=assay
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmUser=root
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldLogFile={folder}/slurmctld.log
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=5
MinJobAge=300
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=8 RealMemory=16000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=8 RealMemory=16000
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """The commands, at this cluster."""

    conf: Path
    nodes: dict[str, subprocess.Popen[bytes]]

    def __call__(self, *command: str | Path, **more: str) -> str:
        """Run a command of Slurm.

        Returns:
            What it printed.
        """
        environment = {**os.environ, "SLURM_CONF": str(self.conf), **more}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """State of a job, such as RUNNING; empty when Slurm has forgotten it."""
        return self("squeue", "--noheader", "--states=all", "--format=%T", "--jobs", job)


def missing() -> str:
    """What is not installed here; empty when all is."""
    return ", ".join(name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None)


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Start it, and stop it at the end."""
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    (folder / "state").mkdir()
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=host, folder=folder, port=free_port(), first=free_port(), second=free_port()))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    with ExitStack() as stack:

        def start(*command: str | Path) -> subprocess.Popen[bytes]:
            log = stack.enter_context((folder / "daemons.log").open("ab"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(_stop, process)
            return process

        socket_path = folder / "munge.socket"
        start(
            *("munged", "--foreground", "--force", "--key-file", key, "--socket", socket_path),
            *("--pid-file", folder / "munge.pid", "--log-file", folder / "munge.log", "--seed-file", folder / "seed"),
        )
        wait_for(socket_path.exists, "munged")
        start("slurmctld", "-D", "-i")
        nodes = {name: start("slurmd", "-D", "-N", name) for name in ("n1", "n2")}
        slurm = Slurm(conf, nodes)
        wait_for(lambda: _idle(slurm) == 2, "two idle nodes")
        try:
            yield slurm
        finally:
            _end_steps(conf)


def _end_steps(conf: Path) -> None:
    """Kill what manages steps of this cluster: that of a lost node outlives its daemon."""
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if "slurmstepd" in process.info["name"] and process.environ().get("SLURM_CONF") == str(conf):
                process.kill()


def _idle(slurm: Slurm) -> int:
    try:
        return slurm("sinfo", "--noheader", "--Node", "--format=%t").split().count("idle")
    except AssertionError:
        time.sleep(0.3)
        return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
