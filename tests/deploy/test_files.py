"""What is shipped in `deploy/`, held against the tools that read it, and against the server that it starts."""

from __future__ import annotations

import configparser
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import typer
import yaml  # type: ignore[import-untyped]
from tests.deploy.edge import DEPLOY, EDGES, NODES, Edge, command_of, program, write_certificate
from tests.helpers import (
    COMMAND,
    HOST,
    ROOT,
    START_TIMEOUT,
    Process,
    clean_environment,
    fetch,
    missing,
    serving,
    until,
    unused_port,
)
from typer.testing import CliRunner

from tricast_server import Settings
from tricast_server.cli import register

KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNIT = DEPLOY / "systemd" / "tricast.service"
COMPOSE = DEPLOY / "docker" / "compose.yaml"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"

POD_IP = "10.244.0.9"

pytestmark = pytest.mark.xdist_group("deploy_files")


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=30)


def tool(name: str) -> str:
    """From the environment of the tests, or from the system. Skips the test where it is not there."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or missing(name)


def manifests() -> Iterator[dict[str, Any]]:
    for file in KUBERNETES:
        yield from yaml.safe_load_all(file.read_text())


def container() -> dict[str, Any]:
    (deployment,) = (manifest for manifest in manifests() if manifest["kind"] == "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.fixture(scope="module")
def pod() -> Iterator[Process]:
    """A node with the container's variables, where the cluster gives it an address and a secret, and no engine."""
    with serving(env={**pod_values(), "TRICAST_TOKEN_SECRET": secrets.token_hex(32)}) as node:
        yield node


def pod_values() -> dict[str, str]:
    """What the manifest itself says."""
    values = {variable["name"]: variable["value"] for variable in container()["env"] if "value" in variable}
    return {name: value.replace("$(POD_IP)", POD_IP) for name, value in values.items()}


# Balancers


@pytest.mark.parametrize("name", EDGES)
def test_the_balancer_has_nothing_to_complain_of(name: str, tmp_path: Path) -> None:
    started = Edge(name=name, port=unused_port(), plain_port=unused_port(), folder=tmp_path)
    write_certificate(started.certificate)
    command = command_of(started, dict.fromkeys(NODES, unused_port()))
    done = run(*command, "-t" if name == "nginx" else "-c")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not re.search(r"\[(warn|alert|emerg)|WARNING|ALERT", said, re.IGNORECASE), said


# The unit


def test_the_unit_is_one(tmp_path: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:  # then only that it can be parsed
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(UNIT)
        assert parser.sections() == ["Unit", "Service", "Install"]
        return
    shutil.copy(sys.executable, tmp_path / "tricast")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tricast/bin", str(tmp_path)))
    verified = run(analyse, "verify", "--man=no", unit)
    assert (verified.returncode, UNIT.name in verified.stderr) == (0, False), verified.stderr
    # The scale goes from 0, a safe one, to 10.
    judged = run(analyse, "security", "--offline=true", "--no-pager", "--threshold=20", unit)
    assert judged.returncode == 0, judged.stdout


# Containers


def test_the_dockerfile_is_clean() -> None:
    done = run(tool("hadolint"), DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_what_the_dockerfile_copies_is_there() -> None:
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE.read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == path or source.startswith(f"{path}/") for path in let_in), source


def test_the_health_of_the_container_is_seen(pod: Process) -> None:
    command = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])$", DOCKERFILE.read_text(), re.DOTALL | re.MULTILINE)
    assert command is not None
    _, *arguments = json.loads(command[1])
    for port, status in ((pod.port, 0), (unused_port(), 1)):
        there = [argument.replace(":8080", f":{port}") for argument in arguments]
        assert run(sys.executable, *there).returncode == status


def test_the_compose_file_is_one() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    services = compose["services"]
    assert set(NODES) <= set(services)
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source == "./tls.pem" or (COMPOSE.parent / source).is_file(), volume


def test_compose_reads_it() -> None:
    docker = shutil.which("docker")
    if docker is None or run(docker, "compose", "version").returncode != 0:
        pytest.skip("no docker compose")  # nor is there a package of Debian's that would have it
    for profiles in ("redis,haproxy", "nats,nginx"):
        done = run(docker, "compose", "--profile", profiles, "--file", COMPOSE, "config", "--quiet")
        assert done.returncode == 0, done.stderr


# Kubernetes


@pytest.mark.parametrize("file", KUBERNETES, ids=[file.stem for file in KUBERNETES])
@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_manifest_is_one(file: Path, version: str) -> None:
    for manifest in yaml.safe_load_all(file.read_text()):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_manifests_find_one_another() -> None:
    by_kind = {manifest["kind"]: manifest for manifest in manifests()}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    spec = by_kind["Service"]["spec"]
    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert spec["selector"].items() <= labels
    assert {port["targetPort"] for port in spec["ports"]} <= {port["name"] for port in container()["ports"]}
    (rule,) = by_kind["Ingress"]["spec"]["rules"]
    (names,) = (variable["value"] for variable in container()["env"] if variable["name"] == "TRICAST_ALLOW_HOST")
    assert rule["host"] in names.split()
    assert [rule["host"]] == by_kind["Ingress"]["spec"]["tls"][0]["hosts"]


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_the_probe_is_answered(pod: Process, probe: str) -> None:
    get = container()[probe]["httpGet"]
    headers = {header["name"]: header["value"] for header in get["httpHeaders"]}
    request = urllib.request.Request(f"http://{HOST}:{pod.port}{get['path']}", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        assert response.status == 200


@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/poll", 401)])
def test_the_pod_is_asked_by_its_address_and_wants_a_token(pod: Process, path: str, status: int) -> None:
    headers = {"Host": f"{POD_IP}:8080"}
    with closing(http.client.HTTPConnection(HOST, pod.port, timeout=5)) as asking:
        asking.request("GET", path, headers=headers)
        assert asking.getresponse().status == status


def test_the_pod_does_not_start_for_everybody_by_mistake() -> None:
    done = subprocess.run(
        [COMMAND, "serve", "--port", "0"],
        env={**clean_environment(), **pod_values()},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "TRICAST_TOKEN_SECRET" in done.stderr
    assert "TRICAST_PUBLIC=1" in done.stderr


def test_a_reload_of_one_process_does_not_end_it(pod: Process) -> None:
    """`systemctl reload` sends SIGHUP, whether there are workers or not, and a certificate or none."""
    until(lambda: "tricast serves on" in pod.log, timeout=START_TIMEOUT)
    pod.process.send_signal(signal.SIGHUP)
    until(lambda: "no certificate to read anew" in pod.log, timeout=START_TIMEOUT)
    assert fetch(f"{pod.url}/healthz")[0] == 200


def test_the_lines_for_the_ingress_controller_are_haproxys(tmp_path: Path) -> None:
    (service,) = (manifest for manifest in manifests() if manifest["kind"] == "Service")
    lines = service["metadata"]["annotations"]["haproxy.org/backend-config-snippet"]
    conf = tmp_path / "conf"
    bind = f"{HOST}:{unused_port()}"
    conf.write_text(f"defaults\nmode http\ntimeout connect 5s\ntimeout client 5s\nlisten b\nbind {bind}\n{lines}")
    done = run(program("haproxy"), "-c", "-f", conf)
    assert done.returncode == 0, done.stderr
    for line in lines.splitlines():
        assert line in (DEPLOY / "haproxy.cfg").read_text()


# All of them


def test_variables_are_settings_of_the_server() -> None:
    files = [UNIT.with_name("tricast.env"), DOCKERFILE, COMPOSE, *KUBERNETES, ROOT / "docs" / "deployment.md"]
    named = {name for file in files for name in re.findall(r"\bTRICAST_[A-Z_]+[A-Z]", file.read_text())}
    assert len(named) > 5
    assert named <= variables(), named - variables()


def variables() -> set[str]:
    """Of `tricast serve`. In this process, as the imports take seconds."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    output = CliRunner().invoke(app, ["serve", "--help"], env=clean_environment()).output
    return set(re.findall(r"TRICAST_[A-Z_]+", output))


def test_all_wait_for_a_drain_to_end() -> None:
    (deployment,) = (manifest for manifest in manifests() if manifest["kind"] == "Deployment")
    _, sleep = container()["lifecycle"]["preStop"]["exec"]["command"]
    times = [
        seconds(re.search(r"^TimeoutStopSec=(.+)$", UNIT.read_text(), re.MULTILINE)),
        seconds(re.search(r"stop_grace_period: (.+)s$", COMPOSE.read_text(), re.MULTILINE)),
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] - float(sleep),
    ]
    assert min(times) > Settings().drain_timeout + 5


def seconds(found: re.Match[str] | None) -> float:
    assert found is not None
    return float(found[1])


def test_the_kernel_has_what_is_set() -> None:
    for line in (DEPLOY / "sysctl.conf").read_text().splitlines():
        name = re.match(r"([a-z0-9_.]+) = ", line)
        if name is not None:
            assert Path("/proc/sys", name[1].replace(".", "/")).exists(), name[1]


def test_the_walk_through_names_what_is_there() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    for path in set(re.findall(r"(?:deploy|requirements|tests)/[a-z][\w./-]*[\w/]", text)):
        assert (ROOT / path).exists(), path
