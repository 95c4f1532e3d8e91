"""The wheel holds the three packages and the page, and the server runs from it alone."""

import http.client
import os
import socket
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.helpers import missing

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "tricast": ROOT / "clients/python/tricast",
    "tricast_server": ROOT / "server/tricast_server",
    "tricast_bench": ROOT / "benchmarks/tricast_bench",
}
PAGES = ROOT / "server/tricast_server/web"
METADATA_FILES = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
METADATA = {f"tricast-0.1.0.dist-info/{name}" for name in METADATA_FILES}

# One worker builds the wheel for all of these.
pytestmark = pytest.mark.xdist_group("package")


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that has to succeed; it is shown if it does not."""
    done = subprocess.run(
        command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def environment() -> dict[str, str]:
    """Ours, without what would put the checkout on a child's path."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def files_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def build_wheel(source: Path, target: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", target, cwd=source)
    (wheel,) = target.glob("*.whl")
    return wheel


@pytest.fixture(scope="module", autouse=True)
def pages() -> list[str]:
    """Where they belong in the wheel."""
    if not (PAGES / "index.html").exists():
        missing("the pages, which `make web` builds")
    return [f"tricast_server/web/{path.relative_to(PAGES).as_posix()}" for path in PAGES.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it, which finds the dependencies in ours."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    python = home / "bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    # A directory that a .pth file names comes last on the path, and .pth files within it, such as
    # the one of an editable install of the checkout, are not read.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def test_wheel_holds_the_packages_and_the_pages_and_no_more(wheel: Path, pages: list[str]) -> None:
    sources = [
        f"{name}/{path.relative_to(directory).as_posix()}"
        for name, directory in PACKAGES.items()
        for path in directory.rglob("*")
        if (path.suffix in (".py", ".pyi", ".css", ".c", ".h") and "web" not in path.parts) or path.name == "py.typed"
    ]
    assert files_in(wheel) == sorted([*sources, *pages, *METADATA])


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_says_that_the_package_is_typed(wheel: Path, package: str) -> None:
    assert {f"{package}/__init__.py", f"{package}/py.typed"} <= set(files_in(wheel))


def test_wheel_holds_the_pages_of_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("tricast_server/web/index.html") == (PAGES / "index.html").read_bytes()


def test_sdist_is_enough_to_build_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (sdist,) = tmp_path.glob("*.tar.gz")
    run("tar", "xzf", sdist, cwd=tmp_path)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert not [path for path in unpacked.rglob("*") if path.name in {"node_modules", "__pycache__"}]
    # What the documents speak of, and no key that somebody has made beside it.
    assert files_below(unpacked / "deploy") == {path for path in files_below(ROOT / "deploy") if path.suffix != ".pem"}
    assert files_in(build_wheel(unpacked, tmp_path)) == files_in(wheel)


@pytest.mark.parametrize("package", PACKAGES)
def test_installed_package_is_not_the_checkout(installed: Path, package: str) -> None:
    code = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
    origin = Path(run(installed / "bin/python", "-c", code, cwd=installed).strip())
    assert origin.is_relative_to(installed)


def test_installed_command_serves_the_pages(installed: Path) -> None:
    with serving(installed) as port:
        served = {name: get(port, f"/{name}") for name in ("", "race.html", "check.html")}
        (script,) = (path for path in PAGES.glob("assets/*.js") if path.stem.startswith("index"))
        assert get(port, f"/assets/{script.name}") == (200, "text/javascript; charset=utf-8", script.read_bytes())
        assert get(port, "/nowhere.html")[0] == 404
    for name, (status, kind, body) in served.items():
        assert (status, kind) == (200, "text/html; charset=utf-8")
        assert body == (PAGES / (name or "index.html")).read_bytes()


@contextmanager
def serving(installed: Path) -> Iterator[int]:
    """The port of a `tricast serve` from the environment, once it is healthy."""
    port = unused_port()
    log = installed / "serve.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [installed / "bin/tricast", "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=installed,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            wait_until_healthy(server, port, log)
            yield port
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


def wait_until_healthy(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            status, _, _ = get(port, "/healthz")
        except OSError:
            time.sleep(0.05)
        else:
            assert status == 200
            return
    pytest.fail(f"the server did not come up:\n{log.read_text()}")


def get(port: int, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
