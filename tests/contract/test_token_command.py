"""`tricast token`, and what `tricast serve` says where anybody could come in, or nobody."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
import typer
from tests.contract.test_serve import run_here
from tests.helpers import clean_environment, running
from tests.helpers_clients import Http
from tests.helpers_tokens import SECRET, issuing, pair
from typer.testing import CliRunner

from tricast_server.cli import register
from tricast_server.guard.public import is_loopback


def made(*options: str, **variables: str) -> str:
    """The token that the command prints."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["token", *options], env={**clean_environment(), **variables})
    assert result.exit_code == 0, result.output
    return result.output.strip()


class TestToken:
    @pytest.mark.may_block("the command reads a file")
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    async def test_by_a_private_key(self, algorithm: str, tmp_path: Path) -> None:
        file = tmp_path / "key.pem"
        file.write_text(pair(algorithm, "k").private_pem)
        given = made("--key", str(file), "--kid", "k", "--sub", "me", "--subscribe", "chat.*", "--audience", "bus")
        async with issuing(pair(algorithm, "k")) as issuer:
            async with running(token_keys=issuer.url, token_audience="bus") as server, Http(server) as http:
                assert (await http.get(f"/poll?topics=chat.a&token={given}")).status == 200
                assert (await http.get(f"/poll?topics=chat&token={given}")).status == 403

    def test_by_a_secret_which_may_be_a_variable_as_it_is_for_the_server(self) -> None:
        given = made("--sub", "me", "--publish", "lobby", "--expires", "90s", TRICAST_TOKEN_SECRET=SECRET)
        claims = jwt.decode(given, SECRET, algorithms=["HS256"])
        assert (claims["sub"], claims["publish"], claims["subscribe"]) == ("me", ["lobby"], [])
        assert made("--secret", SECRET, "--expires", "7d")

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ([], "--secret"),
            (["--secret", "short"], "32 bytes"),
            (["--secret", SECRET, "--subscribe", "a*"], "pattern"),
            (["--secret", SECRET, "--expires", "soon"], "1h"),
            (["--key", "nowhere.pem"], "nowhere.pem"),
            (["--key", __file__], "no private key"),
        ],
    )
    def test_what_is_wrong_is_said(self, options: list[str], reason: str) -> None:
        result = run_here("token", *options)
        assert result.exit_code == 2
        assert reason in result.output


class TestServe:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
    def test_the_open_internet_is_not_served_by_accident(self, host: str) -> None:
        result = run_here("serve", "--host", host, "--port", "0")
        assert result.exit_code == 2
        for hint in (host, "TRICAST_TOKEN_SECRET", "tricast token", "--public"):
            assert hint in result.output

    @pytest.mark.parametrize(
        ("text", "reason"),
        [(None, "cannot be read"), ("nonsense", "neither"), (pair("ES256", "k").private_pem, "pubout")],
        ids=["missing", "nonsense", "private"],
    )
    def test_keys_that_are_none(self, tmp_path: Path, text: str | None, reason: str) -> None:
        file = tmp_path / "keys"
        if text is not None:
            file.write_text(text)
        result = run_here("serve", "--port", "0", "--token-keys", str(file))
        assert result.exit_code == 2
        assert reason in result.output
        assert str(file) in result.output

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--token-secret", "short"], "32 bytes"),
            (["--token-secret", pair("ES256", "k").private_pem], "token-keys"),
            (["--token-secret", SECRET, "--token-leeway", "900"], "token-leeway"),
            (["--token-keys", "http://issuer.example/keys"], "https"),
            (["--token-keys", "HTTP://192.0.2.1/keys"], "https"),
        ],
    )
    def test_settings_that_are_none(self, options: list[str], reason: str) -> None:
        result = run_here("serve", "--port", "0", *options)
        assert result.exit_code == 2
        assert reason in result.output

    @pytest.mark.parametrize(
        ("host", "only_here"),
        [
            ("127.0.0.1", True),
            ("127.1.2.3", True),
            ("::1", True),
            ("[::1]", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("::", False),
            ("", False),
            ("192.0.2.1", False),
            ("::ffff:192.0.2.1", False),
        ],
    )
    def test_which_addresses_are_of_this_machine_alone(self, host: str, only_here: bool) -> None:
        assert is_loopback(host) is only_here
