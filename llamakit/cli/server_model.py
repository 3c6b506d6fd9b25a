"""What `llamakit server`'s options say of a model: its ModelSettings."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from llamakit.cli.options import grammar as g
from llamakit.cli.options import shared as o
from llamakit.cli.options.adapters import AdapterOptions
from llamakit.cli.options.chat import ChatOptions, chat_template_of, template_variables
from llamakit.cli.options.context import ContextOptions, RopeOptions, context_params
from llamakit.cli.options.model import ModelOptions, hub_name
from llamakit.cli.options.prompt import unescape
from llamakit.cli.options.sampling import SamplingOptions, sampling_params
from llamakit.cli.options.server import SPEC_TYPES, DraftOptions, ServingOptions
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.server.settings import ChatSettings, DraftSettings

N_QUEUE = 1024  # requests that may wait
POOLINGS = ("none", "mean", "cls", "last", "rank")


@dataclass(frozen=True)
class AnswerOptions:
    """What holds for every answer, unless its request says otherwise."""

    n_predict: o.Predict = -1
    keep: o.Keep = 0
    context_shift: o.ContextShift = False
    reverse_prompt: o.ReversePrompt = field(default_factory=list)
    escape: o.Escape = True
    special: o.Special = False
    grammar: g.GrammarText = None
    grammar_file: g.GrammarFile = None
    json_schema: g.JsonSchema = None
    json_schema_file: g.JsonSchemaFile = None
    regex: g.Regex = None


def model_settings(
    *,
    source: ModelOptions,
    serving: ServingOptions,
    context: ContextOptions,
    answering: AnswerOptions,
    template: ChatOptions,
    sampling: SamplingOptions,
    drafting: DraftOptions,
    rotation: RopeOptions,
    adapting: AdapterOptions,
) -> Any:
    """The ModelSettings; `path` is what the model is called: fetching it is the caller's."""
    from llamakit.server.settings import N_SLOTS, ModelSettings

    a = answering
    if serving.embd_normalize < -1:
        raise InvalidArgument(f"--embd-normalize: {serving.embd_normalize} is not -1, 0, 1, 2 or a larger power")
    if serving.pooling not in (None, *POOLINGS):
        raise InvalidArgument(f"--pooling: {serving.pooling!r} is not {', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}")
    if context.ctx_size is not None and context.ctx_size < 0:
        raise InvalidArgument(f"--ctx-size: {context.ctx_size} is less than 0; 0 stands for the trained length")
    if serving.reranking and serving.pooling not in (None, "rank"):
        raise InvalidArgument(f"--reranking needs --pooling rank, not {serving.pooling}")
    if serving.parallel == 0:
        raise InvalidArgument("--parallel: 0 requests at once serve nobody; -1 stands for the usual number")
    n_slots, n_most = serving.parallel if serving.parallel > 0 else N_SLOTS, serving.max_concurrent_requests
    if n_most is not None:
        if n_most < 1:
            raise InvalidArgument(f"--max-concurrent-requests: must be at least 1, not {n_most}")
        n_slots = min(n_slots, n_most)
    return ModelSettings(
        path=source.spec or "",
        aliases=tuple(sorted(set(listed(serving.alias)))),  # as llama-server has them
        tags=tuple(sorted(set(listed(serving.tags)))),
        opening=context_params(context, rotation, adapting),
        n_slots=n_slots,
        sleep_after=serving.sleep_idle_seconds if serving.sleep_idle_seconds > 0 else None,
        n_queue_max=N_QUEUE if n_most is None else n_most - n_slots,
        n_prefill_beside=serving.max_batch_prefill_tokens,
        embeddings=serving.embedding,
        reranking=serving.reranking,
        n_ctx_request=n_ctx_request(serving, n_slots, context),
        n_input_max=serving.max_input_tokens,
        draft=draft_settings(drafting),
        pooling="rank" if serving.reranking and serving.pooling is None else serving.pooling,
        chat=chat_settings(template),
        sampling=said(sampling),
        cache_prompt=serving.cache_prompt,
        embd_normalize=serving.embd_normalize,
        sse_ping_interval=serving.sse_ping_interval,
        slot_save_path=serving.slot_save_path,
        spm_infill=serving.spm_infill,
        arch_files=tuple(source.arch_file),
        n_predict=a.n_predict,
        n_keep=a.keep,
        context_shift=a.context_shift,
        stop=tuple(unescape(text) if a.escape else text for text in a.reverse_prompt),
        show_special=a.special,
        rules=g.read_rules(a.grammar, a.grammar_file, a.json_schema, a.json_schema_file, a.regex),
    )


def n_ctx_request(serving: ServingOptions, n_slots: int, context: ContextOptions) -> int | None:
    """Most tokens of one request, prompt and answer; None for all of the context."""
    limits = [n for n in (serving.kv_unified_per_slot, serving.max_total_tokens) if n is not None]
    if not serving.kv_unified:
        if not context.ctx_size:
            raise InvalidArgument("--no-kv-unified divides the context: it needs -c")
        limits.append(context.ctx_size // n_slots)
    if any(n < 1 for n in limits):
        raise InvalidArgument(f"a request needs at least one token, and would have {min(limits)}")
    return min(limits, default=None)


def draft_settings(drafting: DraftOptions) -> DraftSettings | None:
    from llamakit.server.settings import DraftSettings

    kinds = set(drafting.spec_type.split(",")) - {"none", ""}
    if unknown := sorted(kinds - {*SPEC_TYPES}):
        raise InvalidArgument(f"--spec-type: {unknown[0]!r} is not {', '.join(SPEC_TYPES[:-1])} or {SPEC_TYPES[-1]}")
    if drafting.n_max < 1:
        raise InvalidArgument(f"--draft-max: {drafting.n_max} is less than 1")
    path = drafting.model_draft or hub_name(drafting.hf_repo_draft)
    if path is not None:
        return DraftSettings(path, drafting.n_max)
    if "draft-simple" in kinds:
        raise InvalidArgument("--spec-type draft-simple needs a draft model: -md")
    return DraftSettings(None, drafting.n_max) if kinds or drafting.spec_default else None


def chat_settings(template: ChatOptions) -> ChatSettings:
    from llamakit.core.chat.output.format import ReasoningFormat
    from llamakit.server.settings import ChatSettings

    return ChatSettings(
        template=chat_template_of(template),
        use_jinja=template.jinja,
        variables=template_variables(template),
        reasoning=ReasoningFormat(template.reasoning_format),
        thinks=None if template.reasoning == "auto" else template.reasoning == "on",
        budget=template.reasoning_budget,
        budget_message=template.reasoning_budget_message or "",
        prefills=template.prefill_assistant,
        is_parsed=not template.skip_chat_parsing,
    )


def said(sampling: SamplingOptions) -> dict[str, Any]:
    """Fields of SamplingParams that the command line sets."""
    from llamakit.core.sampling.params import SamplingParams

    usual, params = SamplingParams(), sampling_params(sampling)
    names = {f.name for f in fields(sampling) if getattr(sampling, f.name) not in (None, [])}
    if names & {"samplers", "sampler_seq", "tfs_z"}:
        names |= {"samplers"}
    return {f.name: getattr(params, f.name) for f in fields(usual) if f.name in names}


def listed(texts: list[str]) -> tuple[str, ...]:
    """The parts of comma lists."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
