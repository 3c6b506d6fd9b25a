"""The formats, and which one a template belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llamakit.core.chat.output.derive import derive
from llamakit.core.chat.output.format import THINK, Format, Thinking
from llamakit.core.chat.output.formats import (
    apertus,
    apriel,
    cohere2moe,
    command_r7b,
    command_r_plus,
    content_only,
    deepseek_r1,
    deepseek_v3_1,
    deepseek_v3_2,
    deepseek_v4,
    firefunction,
    functionary_v3_1,
    functionary_v3_2,
    gemma4,
    generic,
    gigachat_v3,
    gigachat_v3_1,
    glm,
    glm_4_7,
    gpt_oss,
    granite,
    hermes,
    hunyuan3,
    kimi_k2,
    kimi_k3,
    lfm2,
    ling3,
    llama3,
    minicpm5,
    minimax_m1,
    minimax_m2,
    minimax_m3,
    ministral,
    mistral_nemo,
    mistral_small,
    muse_glimmer,
    nemotron_nano,
    qwen3_coder,
    seed_oss,
    solar,
)
from llamakit.core.chat.output.tools import AUTO, ToolChoice, ToolUse

# The first whose signs a template shows. Those of several signs come before those of one of them.
FORMATS = tuple(
    module.FORMAT
    for module in (
        ministral, muse_glimmer, gpt_oss, functionary_v3_2, kimi_k2, kimi_k3, ling3, cohere2moe, lfm2, gigachat_v3,
        minimax_m3, deepseek_v3_2, deepseek_v4, gemma4, minicpm5, qwen3_coder,
        glm_4_7, glm, hunyuan3, seed_oss, minimax_m2, minimax_m1, solar, apertus, nemotron_nano, apriel,
        mistral_small, gigachat_v3_1, granite, deepseek_v3_1,
        deepseek_r1, command_r7b, command_r_plus, firefunction, hermes, functionary_v3_1, llama3, mistral_nemo,
    )
)  # fmt: skip
GENERIC, CONTENT_ONLY = generic.FORMAT, content_only.FORMAT
BY_NAME = {form.name: form for form in (*FORMATS, GENERIC, CONTENT_ONLY)}

# The tags of reasoning, by what templates contain.
TAGS = (
    Thinking("[THINK]", "[/THINK]"),
    Thinking("<|START_THINKING|>", "<|END_THINKING|>"),
    Thinking("<seed:think>", "</seed:think>"),
    Thinking("<mm:think>", "</mm:think>"),
    Thinking("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"),
    Thinking("<thinking>", "</thinking>"),
    THINK,
)

Render = Callable[..., str]


def format_of(
    template: str,
    has_tools: bool,
    choice: ToolChoice = AUTO,
    has_schema: bool = False,
    render: Render | None = None,
) -> Format:
    """The format of the models that a template belongs to.

    Without tools, or where none may be called, the same without calls. An answer of a JSON schema beside tools, and a
    template that shows no calls at all, mean GENERIC. `render(messages, tools=..., add_generation_prompt=...)` renders
    the template: with it, calls that no format knows are found in what is rendered.
    """
    found = next((form for form in FORMATS if form.fits(template)), None)
    if found is None and render is not None and has_tools:
        found = derive(render)
    form = with_thinking(found or CONTENT_ONLY, template)
    if not has_tools or choice.use is ToolUse.NONE:
        return replace(form, calls=None)
    if form.calls is None or (has_schema and form.turn is None):
        return replace(GENERIC, thinking=form.thinking, dropped=form.dropped)
    return form


def with_thinking(form: Format, template: str) -> Format:
    """With the tags of reasoning that the template shows, if the format does not say them itself."""
    if form.thinking is not None:
        return form
    return replace(form, thinking=next((tags for tags in TAGS if tags.start.strip() in template), None))
