"""The OpenAPI document, and what is asked for in its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llamakit.server.settings import ServerSettings

from .serving import serving

ROUTES = {
    "/v1/completions": "prompt",
    "/v1/chat/completions": "messages",
    "/v1/responses": "input",
    "/v1/messages": "messages",
    "/v1/embeddings": "input",
}


@pytest.fixture(scope="module")
def document(scripted_server):
    return scripted_server.ask("/openapi.json").json


@pytest.mark.parametrize("path, field", ROUTES.items())
def test_bodies_are_described_field_by_field(document, path, field):
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"][field]["description"]
    assert all("description" in told for told in schema["properties"].values())
    if path != "/v1/embeddings":
        assert schema["required"] == [field]
        assert {"temperature", "seed", "stream"} <= schema["properties"].keys()


@pytest.fixture(scope="module")
def everything(scheduler, tmp_path_factory):
    """A server of which each route may be asked."""
    settings = ServerSettings(has_props=True, has_metrics=True)
    folder = str(tmp_path_factory.mktemp("slots"))
    with serving(scheduler, server=settings, n_predict=8, slot_save_path=folder) as running:
        yield running


NATIVE = "completion|embedding|infill|props|slots|lora-adapters|predict"


@pytest.mark.slow
@pytest.mark.parametrize("paths", ["^/v1/", f"^/({NATIVE})", f"^/(?!v1/|{NATIVE})"])
def test_no_request_that_the_document_allows_or_forbids_is_a_5xx(everything, tmp_path, paths):
    pytest.importorskip("schemathesis")
    command = Path(sys.executable).with_name("schemathesis")
    checks = ["--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--max-examples", "20"]
    only = ["--include-path-regex", paths, "--request-timeout", "60"]
    run = subprocess.run(
        [command, "run", f"{everything.url}/openapi.json", *checks, *only],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-4000:]
