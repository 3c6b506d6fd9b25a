"""A model that requests can be for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request

from llamakit.core.sampling.model_defaults import defaults_of
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError
from llamakit.server.engine.engine import Engine
from llamakit.server.engine.messages import ModelInfo
from llamakit.server.generation.fields import Defaults
from llamakit.server.settings import ModelSettings

if TYPE_CHECKING:
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.core.vocab.base import Vocab
    from llamakit.server.models.models import Models

CLASSIFIERS = ("cls", "cls.output")


@dataclass(frozen=True)
class Served:
    """A model, what the web process knows of its file, and the engine that computes it."""

    settings: ModelSettings
    engine: Engine
    metadata: Mapping[str, Any]  # the file's keys and values, overrides in front
    vocab: Vocab
    template: ChatTemplate
    sampling: SamplingParams  # for requests that say nothing: the command line's, then the model's, then llama.cpp's
    created: int = field(default_factory=lambda: int(time.time()))  # Unix time

    @property
    def name(self) -> str:
        """What it is called in answers."""
        return self.settings.aliases[0] if self.settings.aliases else Path(self.settings.path).name

    @property
    def names(self) -> tuple[str, ...]:
        """All that it may be asked for by."""
        return self.settings.aliases or (self.name,)

    @property
    def defaults(self) -> Defaults:
        """What holds where a request says nothing. Raises EngineLoading until the model is loaded."""
        s = self.settings
        return Defaults(
            sampling=self.sampling, n_predict=s.n_predict, n_keep=s.n_keep, cache_prompt=s.cache_prompt, stop=s.stop,
            n_cmpl_max=self.info.n_slots, n_adapters=len(self.info.adapters), sse_ping_interval=s.sse_ping_interval,
            speculative="none" if s.draft is None else s.draft.way,
        )  # fmt: skip

    @property
    def info(self) -> ModelInfo:
        """Raises EngineLoading until the model is loaded."""
        return self.engine.info


def open_served(settings: ModelSettings, engine: Engine) -> Served:
    """Read what the web process needs of a model's file: its weights are the engine's business.

    Raises GGUFError, VocabError, TemplateError, UsageError.
    """
    from llamakit.core.chat.load import load_template
    from llamakit.core.gguf.metadata import with_overrides
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.core.vocab.base import load_vocab

    chat = settings.chat
    with GGUFReader(settings.path) as reader:
        if settings.pooling == "rank" and not any(f"{name}.weight" in reader for name in CLASSIFIERS):
            raise UsageError(
                f"{settings.path}: has no classifier ({', '.join(CLASSIFIERS)}), so it cannot rank: --reranking and "
                "--pooling rank are for rerankers"
            )
        metadata = with_overrides(reader.metadata, settings.opening.overrides)
        vocab = load_vocab(metadata)
        return Served(
            settings=settings,
            engine=engine,
            metadata=metadata,
            vocab=vocab,
            template=load_template(metadata, vocab, chat.template, chat.use_jinja),
            sampling=replace(defaults_of(metadata), **settings.sampling),
        )


async def served_for(request: Request, model: str | None = None, *, wakes: bool = True) -> Served:
    """The model that a request is for, loaded. Raises UnknownModel, EngineLoading, EngineLost.

    Looking (GET) loads no model, and keeps none from making way, unless ?autoload says so.
    """
    models: Models = request.app.state.models
    is_use = request.method != "GET"
    said = request.query_params.get("autoload")
    loads = said in ("true", "1") if said else (None if is_use else False)
    served = await models.get(model, loads, is_use)
    if wakes:
        served.engine.wake()
    return served
