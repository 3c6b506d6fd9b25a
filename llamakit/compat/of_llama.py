"""What a `Llama` has below it, as llama-cpp-python has it: a model and a context, for programs that go there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from llamakit.api.shared import CLOSED, SharedContext
from llamakit.compat.contexts import LlamaContext
from llamakit.compat.internals import LlamaModel
from llamakit.compat.params import ContextParams, ModelParams
from llamakit.compat.pointers import pointer_to
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model
from llamakit.core.vocab.vocabulary import Vocab


class ModelOfLlama(LlamaModel):
    """One that a `Llama` has opened and closes; `model` is None where it has opened a vocabulary only."""

    def __init__(self, path: str, model: Model | None, vocab: Vocab | None, params: ModelParams) -> None:
        self._exit_stack = ExitStack()
        self.path_model, self.params, self.verbose = path, params, False
        self._model, self._vocab, self.model = model, vocab, pointer_to(self)

    @property
    def vocab(self) -> Vocab:
        return self._vocab or self.opened.vocab


class ContextOfLlama(LlamaContext):
    """The one a `Llama` computes in. Its cache is emptied by completions, as theirs is by what is computed here."""

    def __init__(self, shared: SharedContext | None, model: LlamaModel, params: ContextParams) -> None:
        self._shared = shared
        super().__init__(model=model, params=params)

    def _opened(self) -> Context | None:
        return None

    @contextmanager
    def at_work(self) -> Iterator[Context]:
        if self._shared is None:
            raise ValueError(CLOSED)
        with self._shared.alone() as context:
            yield context
            self._shared.hold(())  # what it computes is not the sequence of the `Llama`
