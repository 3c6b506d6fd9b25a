"""What a command line, an environment or a file of settings says of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.output.format import ReasoningFormat
from llamakit.server.operations.origins import Origins
from llamakit.server.tgi.limits import GenerateLimits
from llamakit.tools.completion import ContextParams

if TYPE_CHECKING:  # Limits imports the web framework, which the engine's process has no use for
    from llamakit.core.grammar.rules import Rules
    from llamakit.server.operations.limits import Limits

N_SLOTS = 16  # requests computed together, unless asked for more: they share one cache, so they cost little


@dataclass(frozen=True)
class ChatSettings:
    """How messages become a prompt, and what is read out of the answer."""

    template: str | None = None  # a name or Jinja text, in place of the model's own
    use_jinja: bool = True
    variables: Mapping[str, Any] = field(default_factory=dict)  # of the template
    reasoning: ReasoningFormat = ReasoningFormat.AUTO
    thinks: bool | None = None  # --reasoning on or off; None: as the template likes
    budget: int = -1  # tokens to think; negative: any number
    budget_message: str = ""  # what ends thoughts that are too long
    prefills: bool = True  # a last message of the assistant is gone on from
    is_parsed: bool = True  # False: the text stays as it is, with thoughts and calls in it


@dataclass(frozen=True)
class DraftSettings:
    """How tokens are guessed before they are computed: by a smaller model, or from the text so far."""

    path: str | None = None  # None: from the text
    n_most: int = 8  # tokens at once

    @property
    def way(self) -> str:
        """llama.cpp's name of it."""
        return "ngram-simple" if self.path is None else "draft-simple"


@dataclass(frozen=True)
class ModelSettings:
    """One model, and how it is served."""

    path: str
    aliases: tuple[str, ...] = ()  # its names, the first in answers; without any, the file's
    tags: tuple[str, ...] = ()  # words about it, shown in the list of models
    opening: ContextParams = field(default_factory=ContextParams)
    n_slots: int = N_SLOTS
    n_queue_max: int = 1024  # requests that may wait; more are refused
    sleep_after: float | None = None  # seconds without requests after which the engine is ended until the next one
    n_ctx_request: int | None = None  # most tokens of one request; None: the context
    n_input_max: int | None = None  # most tokens of a prompt; None: as many
    draft: DraftSettings | None = None
    arch_files: tuple[str, ...] = ()  # Python files with architectures
    n_prefill_beside: int = 128  # tokens of prompts computed in a step while others draw
    embeddings: bool = True
    reranking: bool = False
    embd_normalize: int = 2  # the norm of embeddings, for requests that do not say
    pooling: str | None = None  # of embeddings: none, mean, cls, last, rank; None: the model's own
    chat: ChatSettings = field(default_factory=ChatSettings)
    sampling: Mapping[str, Any] = field(default_factory=dict)  # fields of SamplingParams, for requests that do not say
    n_predict: int = -1  # tokens of an answer, for requests that do not say; negative: any number
    rules: Rules | None = None  # a grammar of every answer, for requests that do not say
    n_keep: int = 0  # prompt tokens that a context shift keeps; negative: all
    cache_prompt: bool = True  # for requests that do not say
    stop: tuple[str, ...] = ()  # texts that end every answer
    sse_ping_interval: int = 30  # seconds of silence in a stream before a comment is sent; below 0: never
    context_shift: bool = False
    show_special: bool = False
    slot_save_path: str | None = None  # folder of saved slots; None: they cannot be saved
    spm_infill: bool = False  # suffix before prefix
    loads_at_start: bool = False  # one of several: loaded before it is asked for


@dataclass(frozen=True)
class ServerSettings:
    """The server around its models."""

    has_slots: bool = True  # GET /slots
    has_props: bool = False  # POST /props
    has_metrics: bool = False  # GET /metrics
    n_ctx_measured: int = 32768  # bounds the histograms of lengths
    has_web_page: bool = True
    web_folder: str | None = None  # static files in place of the page
    generate: GenerateLimits = field(default_factory=GenerateLimits)  # what requests of TGI's API may ask for
    api_prefix: str = ""
    api_keys: tuple[str, ...] = ()
    origins: Origins = field(default_factory=Origins)
    limits: Limits | None = None  # of connections and bodies; None: the usual ones
    keep_alive: int = 75  # seconds that a connection may be idle between two requests
    grace: float = 30.0  # seconds for requests that run when the server is told to end
    ssl_key_file: str | None = None
    ssl_cert_file: str | None = None
    otlp_endpoint: str | None = None  # of a collector of traces
    otlp_service_name: str = "llamakit.server"
