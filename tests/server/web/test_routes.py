"""The page's files over HTTP."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from llamakit.server.web.routes import STATIC, is_page, web_routes

SOURCE = STATIC.parent / "source"


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(web_routes())
    return TestClient(app)


def test_the_page_names_only_files_that_are_there(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(names) >= 4
    for name in names:
        assert client.get(f"/{name}").status_code == 200
        assert is_page(f"/{name}")


def test_headers_allow_nothing_but_this_server(client):
    for path in ("/", "/assets/app.js"):
        headers = client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["trusted-types"] == policy["frame-ancestors"] == "'none'"
        assert not re.search("unsafe|http|\\*", headers["content-security-policy"])
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("accepted", ["gzip, br", "identity"])
def test_what_a_browser_has_is_not_sent_again(client, accepted):
    headers = {"Accept-Encoding": accepted}
    first = client.get("/assets/app.js", headers=headers)
    assert first.headers.get("content-encoding") == ("gzip" if "gzip" in accepted else None)
    assert first.content == (STATIC / "app.js").read_bytes()
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/assets/app.js", headers={**headers, "If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    changed = client.get("/assets/app.js", headers={**headers, "If-None-Match": '"other"'})
    assert changed.status_code == 200


def test_packed_and_plain_have_different_tags(client):
    tags = {client.get("/", headers={"Accept-Encoding": coding}).headers["etag"] for coding in ("gzip", "identity")}
    assert len(tags) == 2


@pytest.mark.parametrize("name", ["source.sha256", "nothing.js", "..%2froutes.py", "%2e%2e/routes.py", "../routes.py"])
def test_nothing_else_comes_out(client, name):
    assert client.get(f"/assets/{name}").status_code == 404


def test_the_page_works_below_a_prefix():
    app = FastAPI()
    app.include_router(web_routes(), prefix="/api/v9")
    client = TestClient(app)
    page = client.get("/api/v9")  # without the slash that relative addresses need
    assert page.url.path == "/api/v9/"
    assert all(not name.startswith("/") for name in re.findall(r'(?:src|href)="([^"]+)"', page.text))
    assert client.get("/api/v9/assets/app.js").status_code == 200
    assert not re.search(r"""["'`]/(v1|props|assets)\b""", client.get("/api/v9/assets/app.js").text)


def test_head_has_no_body(client):
    answer = client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_page_stays_small():
    packed = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in STATIC.iterdir()}
    assert sum(packed[name] for name in ("index.html", "theme.js", "app.js", "style.css")) < 60_000
    assert sum(packed.values()) < 180_000


def fingerprint() -> str:
    """As build.mjs makes it."""
    top = [SOURCE / name for name in ("build.mjs", "package.json", "package-lock.json", "tsconfig.json")]
    files = top + [path for path in (SOURCE / "src").rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: str(path.relative_to(SOURCE))):
        digest.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_built_files_are_of_this_source():
    if not SOURCE.exists():
        pytest.skip("the page's source is not part of an installed package")
    assert (STATIC / "source.sha256").read_text().strip() == fingerprint(), (
        f"run: cd {SOURCE} && npm ci && npm run build"
    )


def test_building_again_gives_the_same_files(tmp_path):
    if shutil.which("node") is None or not (SOURCE / "node_modules").exists():
        pytest.skip(f"node and its packages are not there (npm ci in {SOURCE})")
    subprocess.run(["node", "build.mjs", str(tmp_path / "static")], cwd=SOURCE, check=True, env=dict(os.environ))
    built = {path.name: path.read_bytes() for path in (tmp_path / "static").iterdir()}
    assert built == {path.name: path.read_bytes() for path in STATIC.iterdir()}


def test_no_built_file_names_a_place_to_load_from():
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        loads = re.findall(r"(?:import\(|importScripts\(|from)\s*[\"'](https?:)?//", text)
        assert not loads, path
    assert not re.search(r"url\([\"']?(https?:)?//", Path(STATIC / "style.css").read_text())
