"""Several models by name: loaded when asked for, the least recently used one makes way."""

from __future__ import annotations

import asyncio
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
    monkeypatch.setattr("llamakit.tools.pull.resolve", lambda spec, *_: asked.append(spec) or path)
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
