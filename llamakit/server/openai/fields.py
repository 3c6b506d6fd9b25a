"""Fields that OpenAI's APIs have beside llama-server's, and those that mean nothing here."""

from __future__ import annotations

from llamakit.server.generation.field import Anything, Body, FieldError, Flag, Text, Whole
from llamakit.server.generation.fields import NAMES

MODEL = Text("model", "Which of the served models; without it, the first.")
STREAM_OPTIONS = Anything("stream_options", "include_usage: count tokens in a last chunk.", types=("object",))
VERBOSE = Flag("verbose", "Tell the prompt and the text as the model had them, in __verbose.")
INCLUDE_USAGE = Flag("include_usage", "")
TOP_LOGPROBS = Whole("top_logprobs", "How many of the likeliest tokens to tell for each; with logprobs alone.", least=0)
# known to OpenAI's clients, and without effect
IDLE = {
    "audio", "logit_bias_type", "metadata", "modalities", "moderation", "prediction", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user", "verbosity",
    "web_search_options", "reasoning_control", "parse_tool_calls", "mm_processor_kwargs",
}  # fmt: skip
KNOWN = NAMES | IDLE | {field.name for field in (MODEL, STREAM_OPTIONS, VERBOSE)}


def includes_usage(body: Body) -> bool:
    """Whether a stream ends with a chunk that counts tokens."""
    found = STREAM_OPTIONS.find(body)
    if found is None:
        return False
    if not isinstance(found[1], dict):
        raise FieldError(STREAM_OPTIONS.name, "must be an object")
    return INCLUDE_USAGE.read(found[1]) or False
