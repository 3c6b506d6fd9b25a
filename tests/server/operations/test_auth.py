from __future__ import annotations

import ast
import inspect

import pytest
from starlette.datastructures import Headers

from llamakit.server.operations import auth
from llamakit.server.operations.auth import ApiKeys

KEYS = ApiKeys(["sk-one", "sk-two"])


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sk-one"},
        {"authorization": "bearer sk-two"},
        {"authorization": "sk-one"},
        {"x-api-key": "sk-two"},
    ],
)
def test_a_right_key_is_known_as_any_client_sends_it(headers: dict[str, str]) -> None:
    assert KEYS.tenant(Headers(headers)) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Bearer sk-on"},
        {"authorization": "Bearer sk-one2"},
        {"authorization": "Basic sk-one"},
        {"authorization": "Bearer " + "k" * 1_000_000},
        {"authorization": "Bearer \xff\x00"},
        {"x-api-key": "SK-ONE"},
    ],
)
def test_fault_81_a_wrong_key_is_not(headers: dict[str, str]) -> None:
    assert KEYS.tenant(Headers(headers)) is None


def test_fault_81_keys_are_compared_in_constant_time_and_all_of_them() -> None:
    """Read off the source, as no clock here could show it: compare_digest on digests, in a loop that never leaves."""
    tree = ast.parse(inspect.getsource(auth))
    calls = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")}
    loop = next(node for node in ast.walk(tree) if isinstance(node, ast.For))
    assert "compare_digest" in calls
    assert not any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(loop))


def test_a_tenant_is_told_by_its_key_and_does_not_tell_it() -> None:
    one, again, two = (KEYS.tenant(Headers({"x-api-key": key})) for key in ("sk-one", "sk-one", "sk-two"))
    assert one == again != two
    assert one is not None and "one" not in one
