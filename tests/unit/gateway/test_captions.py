"""The captions page as the gateway serves it: what it is told, what it may reach, how long browsers keep it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from agora_transcription.gateway.captions import add_page, content_security_policy
from agora_transcription.gateway.files import Files
from unit.gateway.fakes import APP_ID, settings_of

ROOT = Path(__file__).parents[3]
PROTO = ROOT / "operator" / "agora_transcription" / "simulator" / "captions" / "captions.proto"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    for name in ("index.html", "docs.html", "assets/main-ABCDEFGH.js"):
        (folder / name).write_text(name)
    return folder


def client_of(folder: Path, page: Path, **settings: Any) -> httpx.AsyncClient:
    read = settings_of(folder, **settings)
    app = FastAPI(docs_url=None)
    add_page(app, read, Files(read), page)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", follow_redirects=True)


async def test_its_files_are_served_without_a_key(tmp_path: Path, built: Path) -> None:
    async with client_of(tmp_path, built) as client:
        for path, name in (
            ("/captions/", "index.html"),
            ("/captions", "index.html"),
            ("/captions?channel=room", "index.html"),
            ("/captions/?channel=room", "index.html"),
            ("/captions/assets/main-ABCDEFGH.js", "assets/main-ABCDEFGH.js"),
            ("/docs", "docs.html"),
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (200, name), path
        assert (await client.get("/captions/nothing.js")).status_code == 404
        assert (await client.post("/captions/")).status_code == 405


@pytest.mark.parametrize(
    ("asked", "location"), [("/captions", "captions/"), ("/captions?channel=a%26b", "captions/?channel=a%26b")]
)
async def test_the_missing_slash_is_added_whatever_a_proxy_has_before_it(
    tmp_path: Path, built: Path, asked: str, location: str
) -> None:
    async with client_of(tmp_path, built) as client:
        for method in ("GET", "HEAD"):
            answer = await client.request(method, asked, follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (307, location)


@pytest.mark.parametrize("path", ["/captions/../captions.py", "/captions/..%2fcaptions.py", "/captions//etc/passwd"])
async def test_nothing_else_is_served(tmp_path: Path, built: Path, path: str) -> None:
    (tmp_path / "captions.py").write_text("not for the world")
    async with client_of(tmp_path, built) as client:
        assert (await client.get(path)).status_code == 404


async def test_browsers_keep_for_good_what_has_a_hash_and_ask_for_the_rest(tmp_path: Path, built: Path) -> None:
    async with client_of(tmp_path, built) as client:
        for path, expected in (
            ("/captions/assets/main-ABCDEFGH.js", "public, max-age=31536000, immutable"),
            ("/captions/", "no-cache"),
            ("/docs", "no-cache"),
            ("/captions/config.json", "no-store"),
        ):
            assert (await client.get(path)).headers["cache-control"] == expected, path
        page = await client.get("/captions/")
        again = await client.get("/captions/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


async def test_pages_have_a_policy(tmp_path: Path, built: Path) -> None:
    async with client_of(tmp_path, built) as client:
        for path in ("/captions/", "/docs", "/captions/assets/main-ABCDEFGH.js"):
            headers = (await client.get(path)).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("settings", "reached", "workers"),
    [
        (
            {"captions_url": "http://127.0.0.1:8090/agora", "stt_url": "https://stt.example.org:8443/x"},
            "'self' http://127.0.0.1:8090 ws://127.0.0.1:8090 https://stt.example.org:8443 wss://stt.example.org:8443",
            "'self'",
        ),
        (
            {},
            "'self' https://*.agora.io:* wss://*.agora.io:* https://*.sd-rtn.com:* wss://*.sd-rtn.com:*",
            "'self' blob:",
        ),
    ],
)
def test_the_page_reaches_only_what_the_settings_name(
    tmp_path: Path, settings: dict[str, str], reached: str, workers: str
) -> None:
    policy = dict(part.split(" ", 1) for part in content_security_policy(settings_of(tmp_path, **settings)).split("; "))
    assert (policy["connect-src"], policy["worker-src"]) == (reached, workers)
    assert policy["default-src"] == "'self'"  # of scripts and styles too: none in a page's own text, none from a host
    assert not policy.keys() & {"script-src", "style-src"}
    assert (policy["frame-ancestors"], policy["object-src"], policy["base-uri"]) == ("'none'", "'none'", "'none'")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"source": "agora", "appId": APP_ID}),
        ({"project_dir": None}, {"source": "agora", "appId": None}),
        ({"captions_url": "http://s:8090"}, {"source": "local", "captionsUrl": "http://s:8090", "appId": None}),
        ({"stt_url": "http://t:4322"}, {"sttUrl": "http://t:4322"}),
        ({"api_keys_file": None, "anonymous": True}, {"keyRequired": False}),
        ({"start_timeout": 300, "stop_timeout": 20}, {"longestCall": 305}),  # a start takes back what it has made
        ({"start_timeout": 20, "stop_timeout": 300}, {"longestCall": 300}),
    ],
)
async def test_the_page_is_told_what_it_has_to_know(
    tmp_path: Path, built: Path, settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    usual = {
        "source": "agora",
        "appId": APP_ID,
        "captionsUrl": None,
        "sttUrl": None,
        "keyRequired": True,
        "longestCall": 6,
    }
    async with client_of(tmp_path, built, **settings) as client:
        assert (await client.get("/captions/config.json")).json() == usual | expected


async def test_a_project_that_cannot_be_read_is_a_503_and_says_nothing(tmp_path: Path, built: Path) -> None:
    async with client_of(tmp_path, built) as client:
        (tmp_path / "appId").unlink()
        answer = await client.get("/captions/config.json")
        assert (answer.status_code, answer.text) == (503, "the gateway is not set up for this")


async def test_what_is_not_built_says_how(tmp_path: Path) -> None:
    async with client_of(tmp_path, tmp_path / "nowhere") as client:
        for path in ("/captions/", "/captions/assets/main.js", "/docs"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
            assert "make page" in answer.text


def test_the_modules_of_the_page() -> None:
    web = ROOT / "web"
    assert (web / "node_modules").exists(), "run `make page`"
    command = [str(Path(sys.executable).with_name("node")), "--test", "--test-reporter=tap", "test/*.test.ts"]
    done = subprocess.run(command, cwd=web, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^# pass [1-9]", done.stdout, re.MULTILINE)


def test_the_page_reads_captions_as_the_simulator_writes_them(tmp_path: Path) -> None:
    plugin = ROOT / "web" / "protoc-gen-es"
    assert plugin.with_name("node_modules").exists(), "run `make page`"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO.parent}"]
    options = [f"--plugin=protoc-gen-es={plugin}", f"--es_out={tmp_path}", "--es_opt=target=ts,import_extension=none"]
    subprocess.run([*command, *options, PROTO.name], check=True)
    name = "captions_pb.ts"
    assert (tmp_path / name).read_text() == (ROOT / "web" / "src" / name).read_text(), "run `make captions-proto`"
