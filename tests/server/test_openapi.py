"""The OpenAPI document, and what is asked for in its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_no_request_that_the_document_allows_or_forbids_is_a_5xx(scripted, tmp_path):
    pytest.importorskip("schemathesis")
    command = Path(sys.executable).with_name("schemathesis")
    checks = ["--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--max-examples", "20"]
    only = ["--include-path-regex", "^/v1/", "--request-timeout", "60"]
    run = subprocess.run(
        [command, "run", f"{scripted.url}/openapi.json", *checks, *only], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-4000:]
