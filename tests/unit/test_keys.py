"""The keys of tokens: which are taken, and what becomes of them as their issuer changes them, or is away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from tests.helpers import eventually
from tests.helpers_tokens import ALGORITHMS, issuing, pair

from tricast.errors import Unavailable
from tricast_server.guard import keys
from tricast_server.guard.keys import KeyRing, keys_in, name_of

LOOK_AGAIN = 0.5
A, B = pair("ES256", "a"), pair("ES256", "b")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_AGAIN", LOOK_AGAIN)


def key_set(*members: Any) -> str:
    return json.dumps({"keys": members})


@asynccontextmanager
async def ring(source: str, *, every: float = 60.0) -> AsyncIterator[tuple[KeyRing, list[int]]]:
    """With a list that grows whenever keys were taken away."""
    changes: list[int] = []
    made = KeyRing(source, every=every, on_change=lambda: changes.append(1))
    await made.start()
    try:
        yield made, changes
    finally:
        await made.close()


async def names(made: KeyRing, algorithm: str = "ES256", kid: str | None = None) -> list[str | None]:
    return [key.id for key in await made.find(algorithm, kid)]


class TestWhatIsAKey:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_one_of_each_kind(self, algorithm: str) -> None:
        own = pair(algorithm, "k")
        for text in (key_set(own.jwk), own.public_pem):
            (key,) = keys_in(text)
            assert key.algorithm == algorithm
        bare = {name: value for name, value in own.jwk.items() if name not in ("alg", "use", "kid")}
        (key,) = keys_in(key_set(bare))
        assert (key.algorithm, key.id) == (algorithm, None)

    def test_others_in_a_set_are_passed_over(self) -> None:
        small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        long = ec.generate_private_key(ec.SECP384R1())
        others = [
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            {**A.jwk, "use": "enc"},
            {**A.jwk, "alg": "ES384"},
            {**A.jwk, "crv": "P-384"},
            {**A.jwk, "x": "AAAA"},
            {**A.jwk, "x": 5},
            {"kty": "EC"},
            {"kty": "AKP"},
            {},
            "text",
            RSAAlgorithm.to_jwk(small.public_key(), as_dict=True),
            ECAlgorithm.to_jwk(long.public_key(), as_dict=True),
        ]
        assert [key.id for key in keys_in(key_set(*others, B.jwk))] == ["b"]

    def test_of_a_private_key_only_the_public_half_is_kept(self) -> None:
        (key,) = keys_in(key_set(ECAlgorithm.to_jwk(A.private, as_dict=True)))
        assert not hasattr(key.public, "private_numbers")

    def test_several_in_one_file(self) -> None:
        found = keys_in(f"# one\n{A.public_pem}\n# another\n{pair('EdDSA', 'k').public_pem}")
        assert [key.algorithm for key in found] == ["ES256", "EdDSA"]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (A.private_pem, "private"),
            (A.public_pem.replace("BEGIN PUBLIC", "BEGIN"), "whole"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no public key"),
            ("", "neither"),
            ("<html>", "neither"),
            ("[" * 5000, "neither"),
            ("[]", "list"),
            ('{"keys":{}}', "list"),
        ],
        ids=["private", "broken mark", "no key in it", "empty", "markup", "too deep", "list", "no list of keys"],
    )
    def test_what_is_none(self, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            keys_in(text)


class TestKeysThatChange:
    async def test_they_are_read_again_after_a_while(self) -> None:
        async with issuing(A) as issuer, ring(issuer.url, every=0.1) as (made, changes):
            (first,) = await made.find("ES256", None)
            issuer.keys = [A, B]
            await eventually(lambda: issuer.asked >= 3)
            assert await names(made) == ["a", "b"]
            assert not changes
            issuer.keys = [B]
            await eventually(lambda: bool(changes))
            assert await names(made) == ["b"]
            assert first.revoked

    async def test_an_unknown_one_has_them_read_at_once_but_not_all_the_time(self) -> None:
        async with issuing(A) as issuer, ring(issuer.url) as (made, _):
            issuer.keys = [A, B]
            found = await asyncio.gather(*(names(made, kid="b") for _ in range(20)))
            assert found == [["b"]] * 20
            assert issuer.asked == 2
            started = asyncio.get_running_loop().time()
            found = await asyncio.gather(*(names(made, kid=f"c{number}") for number in range(20)))
            assert found == [[]] * 20
            assert issuer.asked == 3
            assert asyncio.get_running_loop().time() - started > 0.8 * LOOK_AGAIN

    async def test_one_that_is_new_while_others_ask_for_what_there_is_not_is_not_refused(self) -> None:
        async with issuing(A) as issuer, ring(issuer.url) as (made, _):
            assert await names(made, kid="junk") == []  # so they were read a moment ago
            issuer.keys = [A, B]
            junk = [asyncio.create_task(names(made, kid=f"junk{number}")) for number in range(10)]
            assert await names(made, kid="b") == ["b"]
            assert await asyncio.gather(*junk) == [[]] * 10
            assert issuer.asked == 3

    async def test_one_that_something_else_brings_is_not_waited_for_any_longer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keys, "LOOK_AGAIN", 50.0)
        async with issuing(A) as issuer, ring(issuer.url, every=0.2) as (made, _):
            assert await names(made, kid="junk") == []
            issuer.keys = [A, B]
            async with asyncio.timeout(10):
                assert await names(made, kid="b") == ["b"]

    async def test_only_so_many_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keys, "WAITING_MAX", 5)
        async with issuing(A) as issuer, ring(issuer.url) as (made, _):
            asked = (names(made, kid=f"c{number}") for number in range(8))
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert found[:5] == [[]] * 5
            assert [type(one) for one in found[5:]] == [Unavailable] * 3
            assert await names(made, kid="a") == ["a"]

    async def test_an_address_that_sends_on_to_another_is_in_trouble(self, caplog: pytest.LogCaptureFixture) -> None:
        async with issuing(A) as issuer:
            issuer.status, issuer.location = 302, issuer.url.replace("jwks", "other")
            async with ring(issuer.url) as (made, _):
                with pytest.raises(Unavailable):
                    await names(made, kid="a")
            assert issuer.asked == 2
        assert "HTTP status 302" in caplog.text

    async def test_one_that_stands_there_twice_is_revoked_as_any_other(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(key_set(A.jwk, A.jwk))
        async with ring(str(file), every=0.1) as (made, changes):
            found = await made.find("ES256", "a")
            file.write_text(key_set(B.jwk))
            await eventually(lambda: bool(changes))
            assert [key.revoked for key in found] == [True]

    async def test_one_who_asks_may_give_up_without_the_others(self) -> None:
        async with issuing(A) as issuer, ring(issuer.url) as (made, _):
            issuer.keys = [B]
            asking = [asyncio.create_task(names(made, kid="b")) for _ in range(2)]
            await asyncio.sleep(0)
            asking[0].cancel()
            assert await asking[1] == ["b"]

    @pytest.mark.parametrize("trouble", ["status", "nonsense", "too much"])
    async def test_an_issuer_in_trouble_takes_no_key_away(
        self, trouble: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.INFO, logger=keys.log.name)
        monkeypatch.setattr(keys, "RETRY", 0.1)
        monkeypatch.setattr(keys, "SIZE_MAX", 20_000)
        async with issuing(A) as issuer, ring(f"{issuer.url}?password=x", every=0.1) as (made, changes):
            issuer.status = 500 if trouble == "status" else 200
            issuer.body = {"nonsense": "<html>", "too much": " " * 30_000}.get(trouble)
            await eventually(lambda: any("last ones stay" in record.message for record in caplog.records))
            before = issuer.asked
            await eventually(lambda: issuer.asked > before + 1)
            assert await names(made, kid="a") == ["a"]
            with pytest.raises(Unavailable):
                await names(made, kid="b")
            assert not changes
        assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
        assert "password" not in caplog.text

    async def test_an_issuer_that_says_nothing_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keys, "FETCH_TIMEOUT", 0.2)

        async def listen(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
            await reading.read()
            writing.close()
            await writing.wait_closed()

        async with await asyncio.start_server(listen, "127.0.0.1", 0) as silent:
            async with ring(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/") as (made, _):
                with pytest.raises(Unavailable):
                    await names(made)

    async def test_an_issuer_that_nobody_is_behind(self) -> None:
        async with ring("http://127.0.0.1:1/") as (made, _):
            with pytest.raises(Unavailable):
                await names(made)

    async def test_a_file_is_read_again_too(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(A.public_pem)
        async with ring(str(file), every=0.1) as (made, changes):
            assert await names(made, kid="whatever") == [None]
            file.write_text(key_set(B.jwk))
            await eventually(lambda: bool(changes))
            assert await names(made) == ["b"]

    @pytest.mark.parametrize("text", [None, "nonsense"])
    async def test_a_file_has_to_have_some_at_the_start(self, tmp_path: Path, text: str | None) -> None:
        file = tmp_path / "keys"
        if text is not None:
            file.write_text(text)
        with pytest.raises(ValueError, match=r"neither|No such file"):
            await KeyRing(str(file), every=1.0, on_change=lambda: None).start()


def test_what_may_be_secret_in_an_address_is_not_logged() -> None:
    assert name_of("https://user:password@issuer.example/keys?token=x") == "https://issuer.example/keys"
