"""/props, /slots and /lora-adapters."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.engine.speculation import PromptLookup
from llamakit.errors import UsageError
from llamakit.server.generation.field import FieldError
from llamakit.server.native.slots import file_in
from llamakit.server.settings import DraftSettings, ServerSettings

from ...running import open_context
from ..serving import serving


def test_props_tell_what_the_server_is(server):
    told = server.ask("/props").json
    assert told["total_slots"] == server.engine.info.n_slots
    assert told["default_generation_settings"]["n_ctx"] == server.engine.info.n_ctx
    assert told["default_generation_settings"]["params"]["temperature"] == server.served.sampling.temperature
    assert (told["model_alias"], told["model_path"]) == ("tiny", server.engine.info.path)
    assert told["chat_template"] == server.served.template.source
    assert told["chat_template_caps"]["supports_system_role"] is True
    assert (told["bos_token"], told["eos_token"]) == ("<s>", "</s>")
    assert told["modalities"] == {"vision": False, "video": False, "audio": False}


def test_props_can_be_set_where_the_server_lets_them(server, scheduler):
    assert (server.ask("/props", {}).status, server.ask("/props", {}).json["error"]["code"]) == (403, 403)
    with serving(scheduler, server=ServerSettings(has_props=True)) as running:
        assert running.ask("/props", {}).json == {"success": True}


@pytest.mark.parametrize("route", ["/tools", "/cors-proxy?url=http://127.0.0.1:1"])
def test_tools_and_requests_to_other_servers_are_refused(server, route):
    for body in (None, {}):
        reply = server.ask(route, body)
        assert (reply.status, reply.json["error"]["message"]) == (403, "this feature is disabled")
        assert reply.json["error"]["type"] == "feature_disabled"


def test_slots_tell_what_they_do(server, scheduler, monkeypatch):
    slots = server.ask("/slots").json
    assert [slot["id"] for slot in slots] == list(range(server.engine.info.n_slots))
    assert not any(slot["is_processing"] for slot in slots)
    assert server.ask("/slots?fail_on_no_slot=1").status == 200
    goes_on = threading.Event()
    slices = scheduler.context.slices

    def slow(chunks):
        goes_on.wait(0.02)
        return slices(chunks)

    monkeypatch.setattr(scheduler.context, "slices", slow)
    body = {"prompt": ["a", "b", "c"], "n_predict": 200, "ignore_eos": True, "grammar": 'root ::= "a\\n" [a-z]+'}
    asking = threading.Thread(target=server.ask, args=("/completion", body))
    asking.start()
    try:
        end = time.monotonic() + 60
        while not all(slot["is_processing"] for slot in slots):
            slots = server.ask("/slots").json
            assert time.monotonic() < end, "waited in vain"
        for slot in slots:
            assert "tag" not in slot and slot["speculative"] is False
            assert (slot["params"]["n_predict"], slot["params"]["ignore_eos"]) == (200, True)
            assert not slot["params"].keys() & {"stop", "grammar", "logit_bias"}
        while not all("params" not in s or s["next_token"][0]["has_new_line"] for s in server.ask("/slots").json):
            assert time.monotonic() < end, "waited in vain"
        reply = server.ask("/slots?fail_on_no_slot=1")
        assert (reply.status, reply.json["error"]["message"]) == (503, "no slot available")
    finally:
        goes_on.set()
        asking.join()


def test_how_tokens_are_guessed_is_told(path):
    with open_context(path, n_seq_max=2) as context:
        with Scheduler(context, load_model(path).vocab, guesser=PromptLookup(4)) as scheduler:
            with serving(scheduler, draft=DraftSettings()) as running:
                assert all(slot["speculative"] for slot in running.ask("/slots").json)
                told = running.ask("/props").json["default_generation_settings"]["params"]
                assert told["speculative.types"] == "ngram-simple"
                body = {"prompt": "a b a b a b a b", "n_predict": 4}
                for n_max, types in ((1, "ngram-simple"), (0, "none")):
                    reply = running.ask("/completion", {**body, "speculative.n_max": n_max}).json
                    assert reply["generation_settings"]["speculative.types"] == types


@pytest.fixture(scope="module")
def saving(scheduler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slots")
    with serving(scheduler, slot_save_path=str(folder)) as running:
        yield running, folder


def test_a_slot_is_saved_restored_and_erased(saving):
    server, folder = saving
    first = server.ask("/completion", {"prompt": "Hello you", "n_predict": 4, "id_slot": 1, "ignore_eos": True}).json
    assert first["id_slot"] == 1
    saved = server.ask("/slots/1?action=save", {"filename": "one.bin"}).json
    assert (saved["id_slot"], saved["filename"]) == (1, "one.bin")
    assert saved["n_written"] == (folder / "one.bin").stat().st_size and saved["timings"]["save_ms"] >= 0
    restored = server.ask("/slots/0?action=restore", {"filename": "one.bin"}).json
    assert (restored["id_slot"], restored["n_restored"], restored["n_read"]) == (
        0,
        saved["n_saved"],
        saved["n_written"],
    )
    assert "restore_ms" in restored["timings"]
    assert server.ask("/slots/1?action=erase", method="POST").json["id_slot"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "../x", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "C:x", "a\0b", "x..y", " x", "x ", "x.", "\u2215",
        "\uff0e", "a" * 256, "*", "link", "\ud800",
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["save", "restore"])
def test_fault_83_names_that_lead_out_of_the_folder_are_refused(saving, action, name):
    server, folder = saving
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to(folder.parent / "elsewhere")
    reply = server.ask(f"/slots/0?action={action}", {"filename": name})
    assert (reply.status, "nvalid filename" in reply.json["error"]["message"]) == (400, True)
    assert not (folder.parent / "elsewhere").exists()


def test_fault_84_keys_have_saved_slots_of_their_own(tmp_path):
    (tmp_path / "ann-a.bin").write_bytes(b"")
    assert file_in(str(tmp_path), "a.bin", is_there=True, owner="ann") == str(tmp_path / "ann-a.bin")
    with pytest.raises(FieldError, match="there is no file"):
        file_in(str(tmp_path), "a.bin", is_there=True, owner="bob")


@pytest.mark.parametrize(
    "route, body, status, message",
    [
        ("/slots/0?action=dance", {}, 400, "Invalid action"),
        ("/slots/0", {}, 400, "Invalid action"),
        ("/slots/99?action=erase", {}, 400, "Invalid slot ID"),
        ("/slots/x?action=erase", {}, 400, "Invalid slot ID"),
        ("/slots/-1?action=erase", {}, 400, "Invalid slot ID"),
        ("/slots/0?action=save", {}, 400, '"filename" is required'),
        ("/slots/0?action=restore", {"filename": "none.bin"}, 400, "Unable to restore slot"),
        ("/slots/0?action=restore", {"filename": "damaged.bin"}, 400, "damaged.bin"),
    ],
)
def test_actions_that_make_no_sense_are_refused(saving, route, body, status, message):
    server, folder = saving
    (folder / "damaged.bin").write_bytes(b"no state")
    reply = server.ask(route, body)
    assert reply.status == status
    assert message in reply.json["error"]["message"]


def test_without_a_folder_nothing_is_saved(server, scheduler):
    assert server.ask("/slots/0?action=save", {"filename": "a"}).status == 501
    with serving(scheduler, server=ServerSettings(has_slots=False)) as running:
        assert running.ask("/slots").status == 501


def test_a_server_without_adapters_says_so(server):
    assert server.ask("/lora-adapters").json == []
    assert server.ask("/lora-adapters", []).json == {"success": True}
    reply = server.ask("/lora-adapters", [{"id": 0, "scale": 1}])
    assert (reply.status, reply.json["error"]["param"]) == (400, "adapters.0.id")
    assert server.ask("/lora-adapters", {"id": 0}).status == 400


@pytest.fixture
def adapted(server, monkeypatch):
    """A server that seems to have two adapters; what they are set to."""
    info = replace(server.engine.info, adapters=(("/models/a.gguf", 1.0), ("/models/b.gguf", 0.5)))
    monkeypatch.setattr(server.engine, "_info", info)
    scales = {0: 1.0, 1: 0.5}

    async def adapters():
        return [(path, scales.get(i, 0.0)) for i, (path, _) in enumerate(info.adapters)]

    async def set_adapters(given):
        scales.clear()
        scales.update(given)

    monkeypatch.setattr(server.engine, "adapters", adapters)
    monkeypatch.setattr(server.engine, "set_adapters", set_adapters)
    return scales


def test_adapters_are_listed_and_set_and_those_not_named_are_off(server, adapted):
    told = server.ask("/lora-adapters").json
    assert [(part["id"], part["path"], part["scale"]) for part in told] == [
        (0, "/models/a.gguf", 1.0),
        (1, "/models/b.gguf", 0.5),
    ]
    assert server.ask("/lora-adapters", [{"id": 1, "scale": 0.25}]).json == {"success": True}
    assert adapted == {1: 0.25}
    assert [part["scale"] for part in server.ask("/lora-adapters").json] == [0.0, 0.25]


def test_a_request_has_adapters_of_its_own(server, adapted, monkeypatch):
    asked = []

    def submit(generation, n=1):
        asked.append(generation.adapters)
        raise UsageError("enough")

    monkeypatch.setattr(server.engine, "submit", submit)
    server.ask("/completion", {"prompt": "a", "lora": [{"id": 1, "scale": 2}]})
    for name in ("1", "b", "b.gguf"):
        server.ask("/generate", {"inputs": "a", "parameters": {"adapter_id": name}})
    server.ask("/completion", {"prompt": "a"})
    assert asked == [((1, 2.0),), ((1, 1.0),), ((1, 1.0),), ((1, 1.0),), None]
