"""Traefik with TLS, as compose.tls.yml has it: the operator's certificate at every door, and the way to it."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import trustme

from helixnet.stack import traefik
from helixnet.stack.health import http_answers
from tests.conftest import START_SECONDS, Stack, free_port, wait_until

pytestmark = pytest.mark.xdist_group("stack")

NAME = "127.0.0.1"


@dataclass
class Secured:
    """Traefik's ports, who vouches for it, and the folders that it reads."""

    ports: dict[str, int]
    authority: trustme.CA
    certificates: Path
    routes: Path

    def client(self, authority: trustme.CA | None = None) -> httpx2.Client:
        context = ssl.create_default_context()
        (authority or self.authority).configure_trust(context)
        return httpx2.Client(verify=context, timeout=20)

    def url(self, entry_point: str) -> str:
        return f"https://{NAME}:{self.ports[entry_point]}"

    def is_trusted(self, authority: trustme.CA) -> bool:
        with self.client(authority) as client:
            try:
                return client.get(f"{self.url('web')}/livez").status_code == 200
            except httpx2.TransportError:
                return False


def issue(authority: trustme.CA, folder: Path) -> None:
    """A certificate as operators lay it down."""
    issued = authority.issue_cert(NAME)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "certificate.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))


@pytest.fixture(scope="module")
def secured(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    # A copy, for Traefik watches its folder, and the test touches a file there.
    routes = shutil.copytree(traefik.folder(), folder / "routes")
    doors = Secured(
        {name: free_port() for name in ("web", "api", "flower", "pgadmin", "redirect", "internal")},
        trustme.CA(),
        folder,
        routes,
    )
    issue(doors.authority, folder)
    servers = dict.fromkeys(("WEB_URL", "FLOWER_URL", "PGADMIN_URL", "GRAFANA_URL"), stack.url)
    servers |= {"TLS": "on", "TLS_FOLDER": str(folder), "HTTPS_PORT": str(doors.ports["web"])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traefik, "FOLDERS", (routes,))
        program = traefik.program(doors.ports, servers, folder / "log")
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(program.command, env=dict(program.environment), stdout=output, stderr=output)
    try:
        wait_until(lambda: http_answers(doors.ports["internal"], "/ping"), "Traefik answers", START_SECONDS)
        wait_until(lambda: doors.is_trusted(doors.authority), f"TLS leads somewhere: {folder}/log", START_SECONDS)
        said = (folder / "log").read_text()
        assert '"level":"error"' not in said, said
        yield doors
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("entry_point", ["web", "api", "flower", "pgadmin"])
def test_every_door_has_the_operators_certificate_and_nothing_for_those_without_tls(
    secured: Secured, entry_point: str
) -> None:
    with secured.client() as client:
        through = client.get(f"{secured.url(entry_point)}/login")
    bare = httpx2.get(f"http://{NAME}:{secured.ports[entry_point]}/login")

    assert (through.status_code, "<form" in through.text) == (200, True)
    assert through.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert bare.status_code in (400, 404)
    assert "<form" not in bare.text


def test_who_comes_without_tls_is_sent_on_to_it(secured: Secured) -> None:
    sent = httpx2.get(f"http://{NAME}:{secured.ports['redirect']}/jobs?status=FAILED")

    assert sent.status_code == 301
    assert sent.headers["Location"] == f"{secured.url('web')}/jobs?status=FAILED"


def test_signing_in_works_and_is_slowed_down_as_without_tls(secured: Secured) -> None:
    with secured.client() as client:
        account = {"username": "demo@helix.net", "password": "demo"}
        answer = client.post(f"{secured.url('web')}/api/v1/auth/token", data=account)
        big = client.post(f"{secured.url('web')}/login", data={"email": "a", "password": "x" * 100_000})

    assert answer.json()["token_type"] == "bearer"
    assert big.status_code in (413, 429)


def test_a_renewed_certificate_is_taken_without_a_restart(secured: Secured) -> None:
    renewed = trustme.CA()
    assert not secured.is_trusted(renewed)

    issue(renewed, secured.certificates)
    (secured.routes / "dynamic" / "tls.toml").touch()

    wait_until(lambda: secured.is_trusted(renewed), "the renewed certificate is served")
    secured.authority = renewed
