"""Several models by name: loaded when asked for, the least recently used one makes way."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import contextmanager

import pytest

from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError
from llamakit.server.app import create_app
from llamakit.server.engine.engine import Engine
from llamakit.server.engine.generation import Generation
from llamakit.server.engine.local import LocalChannel
from llamakit.server.models.many import ManyModels
from llamakit.server.models.models import UnknownModel
from llamakit.server.settings import DraftSettings, ModelSettings

from ..serving import Running, listening

ENDLESS = Generation((1, 40), SamplingParams(ignore_eos=True), n_keep=1)


@pytest.fixture
def many(path, scheduler):
    """ManyModels of three names for one file, two of them at once."""
    known = {name: ModelSettings(str(path), aliases=(name, f"{name}.gguf")) for name in ("a", "b", "c")}

    def make(**options):
        return ManyModels(lambda: known, 2, new_engine=lambda _: Engine(LocalChannel(scheduler)), **options)

    return make


def run(models, task):
    async def main():
        models.start()
        try:
            return await task()
        finally:
            await models.close()

    return asyncio.run(asyncio.wait_for(main(), 60))


def loaded(models):
    return [entry.name for entry in models.loaded]


def test_the_one_not_used_for_longest_makes_way(many):
    models = many()

    async def task():
        for name, wanted in (
            ("a", ["a"]),
            ("b", ["a", "b"]),
            ("a.gguf", ["a", "b"]),
            ("c", ["a", "c"]),
            (None, ["a", "c"]),
        ):
            served = await models.get(name)
            assert served.name == (name or "a").removesuffix(".gguf")
            assert loaded(models) == wanted

    run(models, task)
    assert loaded(models) == []


def test_requests_for_one_model_load_it_once(many):
    models = many()

    async def task():
        first, *others = await asyncio.gather(*(models.get("b") for _ in range(5)))
        assert all(other is first for other in others)

    run(models, task)


def test_a_model_at_work_does_not_make_way(many):
    models = many()

    async def task():
        (stream,) = (await models.get("a")).engine.submit(ENDLESS)
        await models.get("b")
        await models.get("c")
        assert loaded(models) == ["a", "c"]
        (other,) = (await models.get("c")).engine.submit(ENDLESS)
        waiting = asyncio.create_task(models.get("b"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        stream.cancel()
        assert (await waiting).name == "b"
        other.cancel()

    run(models, task)


def test_an_unknown_name_is_told_the_known_ones(many):
    models = many()

    async def task():
        with pytest.raises(UnknownModel, match=r"no model 'x'; there is a, b, c"):
            await models.get("x")

    run(models, task)


def test_without_loading_by_itself_a_model_must_be_loaded(many):
    models = many(loads_itself=False)

    async def task():
        with pytest.raises(UsageError, match="not loaded"):
            await models.get("a")
        await models.load(models.find("a"))
        assert (await models.get("a")).name == "a"

    run(models, task)


def test_a_request_may_say_whether_a_model_is_loaded_for_it(many):
    models = many()

    async def task():
        with pytest.raises(UsageError, match="model 'a' is not loaded"):
            await models.get("a", loads=False)
        assert (await models.get("a", loads=True)).name == (await models.get("a", loads=False)).name == "a"

    run(models, task)


def test_looking_at_a_model_does_not_keep_it_from_making_way(many):
    models = many()

    async def task():
        for name in ("a", "b"):
            await models.get(name)
        await models.get("a", is_use=False)
        await models.get("c")
        assert loaded(models) == ["b", "c"]

    run(models, task)


def test_the_first_answers_to_all_names_where_that_is_wanted(many):
    models = many(answers_to_all=True)

    async def task():
        assert [(await models.get(name)).name for name in ("b", "gpt-4", None)] == ["b", "a", "a"]
        with pytest.raises(UnknownModel):
            models.find("gpt-4")  # it cannot be unloaded by any name

    run(models, task)


def test_some_are_loaded_from_the_start_on(path, scheduler, caplog):
    known = {
        "a": ModelSettings(str(path)),
        "b": ModelSettings("nowhere.gguf", loads_at_start=True),
        "c": ModelSettings(str(path), loads_at_start=True),
    }
    models = ManyModels(lambda: known, 2, new_engine=lambda _: Engine(LocalChannel(scheduler)))

    async def task():
        while loaded(models) != ["c"]:
            await asyncio.sleep(0.01)

    run(models, task)
    assert "b could not be loaded: nowhere.gguf" in caplog.text


def test_what_becomes_of_models_is_told(many):
    models = many()
    events = []

    async def listen():
        async for event in models.events.listen():
            events.append((event.data["model"], event.data["event"], event.data.get("data", {}).get("status")))

    async def task():
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await models.get("a")
        await models.get("a")
        await models.unload(models.find("a"))
        await models.reload()
        models.refuse()
        await listening  # it ends with the server

    run(models, task)
    status = [("a", "model_status", each) for each in ("loading", "loaded", "unloaded")]
    assert events == [*status, ("*", "models_reload", None)]


def test_settings_that_have_changed_hold_from_the_next_load_on(path, scheduler):
    known = {"a": ModelSettings(str(path)), "b": ModelSettings(str(path))}
    models = ManyModels(lambda: known, 2, new_engine=lambda _: Engine(LocalChannel(scheduler)))

    async def task():
        await models.get("a")
        known.update({name: ModelSettings(str(path), n_predict=5) for name in ("a", "b")})
        models.rescan()
        assert [(await models.get(name)).settings.n_predict for name in ("a", "b")] == [-1, 5]

    run(models, task)


def test_a_model_of_a_hub_is_fetched_when_it_is_loaded(path, scheduler, monkeypatch):
    asked = []
    monkeypatch.setattr("llamakit.tools.pull.resolve", lambda spec, *_, **more: asked.append(spec) or path)
    known = {"a": ModelSettings("hf:org/repo:Q4_0", draft=DraftSettings("hf:org/small"))}
    models = ManyModels(lambda: known, 1, new_engine=lambda _: Engine(LocalChannel(scheduler)))
    assert asked == []

    async def task():
        assert (await models.get("a")).settings.path == str(path)

    run(models, task)
    assert sorted(asked) == ["hf:org/repo:Q4_0", "hf:org/small"]


@contextmanager
def serving(models, scheduler):
    with listening(create_app(models)) as url:
        yield Running(url, None, scheduler)


def test_routes_of_a_router(many, scheduler):
    models = many()
    with serving(models, scheduler) as server:

        def statuses(path="/models"):
            return {model["id"]: model["status"]["value"] for model in server.ask(path).json["data"]}

        told = server.ask("/props").json
        assert (told["role"], told["max_instances"], told["models_autoload"]) == ("router", 2, True)
        assert statuses() == {"a": "unloaded", "b": "unloaded", "c": "unloaded"}
        entry = server.ask("/models").json["data"][0]
        assert (entry["aliases"], entry["tags"], entry["owned_by"]) == (["a", "a.gguf"], [], "llamacpp")
        assert entry["status"]["args"][:4] == ["llamakit", "server", "--model", entry["path"]]
        models.find("a").error = "no such file"
        failed = server.ask("/models").json["data"][0]["status"]
        assert (failed["failed"], failed["exit_code"], failed["error"]) == (True, 1, "no such file")
        assert entry["architecture"] == {"input_modalities": ["text"], "output_modalities": ["text"]}
        assert server.ask("/health").status == 200
        assert server.ask("/models/load", {"model": "b"}).json == {"success": True}
        assert statuses("/v1/models?reload=1") == {"a": "unloaded", "b": "loaded", "c": "unloaded"}
        answer = server.ask("/v1/completions", {"model": "c", "prompt": "Hello", "max_tokens": 1})
        assert (answer.status, answer.json["model"]) == (200, "c")
        assert server.ask("/props?model=c").json["model_alias"] == "c"
        assert server.ask("/models/unload", {"model": "b"}).json == {"success": True}
        assert server.ask("/models/unload", {"model": "b"}).status == 400
        assert server.ask("/models/load", {}).status == 400
        for body in ({"model": "../../etc/passwd", "prompt": "a"}, {"model": "/x.gguf", "prompt": "a"}):  # fault 83
            answer = server.ask("/v1/completions", body)
            assert answer.status in (400, 404)
            assert "there is a, b, c" in answer.json["error"]["message"]


def test_looking_loads_nothing_by_itself(many, scheduler):
    models = many()
    with serving(models, scheduler) as server:
        for path in ("/slots?model=a", "/props?model=a", "/lora-adapters?model=a", "/slots", "/info"):
            answer = server.ask(path)
            assert answer.status in (400, 422) and "'a' is not loaded" in answer.body.decode()
        assert (loaded(models), server.ask("/health").status) == ([], 200)
        assert server.ask("/props?model=b&autoload=true").json["model_alias"] == "b"
        for said in ("false", "0"):
            answer = server.ask(f"/completion?autoload={said}", {"model": "a", "prompt": "a", "n_predict": 1})
            assert answer.status == 400 and "not loaded" in answer.json["error"]["message"]
        assert loaded(models) == ["b"]
        assert server.ask("/slots?model=b").status == 200


def test_events_of_a_router_are_a_stream(many, scheduler):
    models = many()
    with serving(models, scheduler) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/models/sse")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        server.ask("/models/load", {"model": "b"})
        lines = [answer.readline() for _ in range(4)]
        connection.close()
    assert [json.loads(line.removeprefix(b"data:")) for line in lines if line.strip()] == [
        {"model": "b", "event": "model_status", "data": {"status": status}} for status in ("loading", "loaded")
    ]
