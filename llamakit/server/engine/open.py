"""A model made ready to serve, in the engine's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.engine.scheduler import Scheduler
from llamakit.server.engine.host import Host, model_info
from llamakit.server.engine.messages import FromEngine
from llamakit.server.settings import ModelSettings
from llamakit.tools.completion import context_length


@contextmanager
def open_host(settings: ModelSettings, send: Callable[[FromEngine], None]) -> Iterator[Host]:
    """Load the model of the settings and serve it. Raises what loading does: GGUFError, ModelError, UsageError."""
    p = settings.opening
    with ExitStack() as opened:
        model = opened.enter_context(
            load_model(settings.path, overrides={**p.overrides, **p.rope.overrides(settings.path)}, use_mmap=p.use_mmap)
        )
        context = Context(
            model,
            n_ctx=context_length(p.n_ctx, model.n_ctx_train),
            n_batch=p.n_batch,
            n_ubatch=p.n_ubatch,
            n_threads=p.n_threads,
            n_threads_batch=p.n_threads_batch,
            type_k=p.type_k,
            type_v=p.type_v,
            n_seq_max=settings.n_slots,
        )
        opened.callback(context.close)
        scheduler = opened.enter_context(Scheduler(context, model.vocab, n_queue_max=settings.n_queue_max))
        host = Host(scheduler, send, model_info(context, p.adapters))
        opened.callback(host.close)
        yield host
