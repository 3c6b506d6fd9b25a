"""Real templates: what they write for calls is read as these calls, in the format that is found for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.output.constraint import constraint_for
from llamakit.core.chat.output.derive import common_start, derive
from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.parser import parse
from llamakit.core.chat.output.registry import format_of, with_thinking
from llamakit.core.chat.output.tools import AUTO, ToolChoice, ToolUse
from llamakit.core.chat.template import ChatTemplate
from tests.core.chat.output.outputs import TOOLS

FOLDER = Path(__file__).parents[5] / "shared/assets/chat-templates"
FORMATS = {
    "Apertus-8B-Instruct": "apertus", "Apriel-1.6-15b-Thinker-fixed": "apriel", "Bielik-11B-v3.0-Instruct": "hermes",
    "ByteDance-Seed-OSS": "seed-oss", "Cohere2MoE": "cohere2moe",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": "command-r7b", "GLM-4.6": "glm-4.5", "GLM-4.7-Flash": "glm-4.7",
    "GigaChat3-10B-A1.8B": "gigachat-v3", "GigaChat3.1-10B-A1.8B": "gigachat-v3.1",
    "HuggingFaceTB-SmolLM3-3B": "generic", "Kimi-K2-Thinking": "kimi-k2", "Kimi-K3": "kimi-k3",
    "LFM2-8B-A1B": "lfm2", "LFM2.5-Instruct": "lfm2", "MiniMax-M1": "minimax-m1", "MiniMax-M2": "minimax-m2",
    "MiniMax-M3": "minimax-m3", "Mistral-Small-3.2-24B-Instruct-2506": "mistral-small",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "qwen3-coder", "NVIDIA-Nemotron-Nano-v2": "nemotron-nano",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": "hermes", "Qwen-QwQ-32B": "hermes", "Qwen-Qwen3-0.6B": "hermes",
    "Qwen3-Coder": "qwen3-coder", "Qwen3.5-4B": "qwen3-coder", "Reka-Edge": "hermes", "Spark2.5": "glm-4.7",
    "StepFun3.5-Flash": "qwen3-coder", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "deepseek-r1",
    "deepseek-ai-DeepSeek-V3.1": "deepseek-v3.1", "deepseek-ai-DeepSeek-V3.2": "deepseek-v3.2",
    "deepseek-ai-DeepSeek-V4": "deepseek-v4", "fireworks-ai-llama-3-firefunction-v2": "firefunction",
    "google-gemma-2-2b-it": "generic", "google-gemma-4-31B-it": "gemma4",
    "ibm-granite-granite-3.3-2B-Instruct": "granite", "ibm-granite-granite-4.0": "hermes",
    "inclusionai-ling-3.0-flash": "ling3", "meetkai-functionary-medium-v3.1": "functionary-v3.1",
    "meetkai-functionary-medium-v3.2": "functionary-v3.2", "meta-llama-Llama-3.1-8B-Instruct": "llama3",
    "meta-llama-Llama-3.3-70B-Instruct": "llama3", "microsoft-Phi-3.5-mini-instruct": "generic",
    "mistralai-Ministral-3-14B-Reasoning-2512": "ministral", "mistralai-Mistral-Nemo-Instruct-2407": "mistral-nemo",
    "muse-glimmer": "muse-glimmer", "openai-gpt-oss-120b": "gpt-oss", "openbmb-MiniCPM5-1B": "minicpm5",
    "poolside-Laguna-XS.2": "glm-4.5", "tencent-Hy3": "hunyuan-3", "unsloth-Apriel-1.5": "apriel",
    "unsloth-mistral-Devstral-Small-2507": "ministral", "upstage-Solar-Open-100B": "solar",
}  # fmt: skip
# These write no calls, or only of another shape than their models do.
NO_CALLS = {"generic", "granite"} | {"LFM2-8B-A1B", "LFM2.5-Instruct", "fireworks-ai-llama-3-firefunction-v2"}
NO_CALLS |= {"Kimi-K2-Thinking", "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"}
ONE_CALL = {"gpt-oss", "gigachat-v3", "gigachat-v3.1", "llama3"}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("get_time", {"city": 'Paris "x" <b>'}),
    ("add", {"a": -1, "b": 2.5}),
    ("plan", {"todos": [{"item": "milk", "done": False}]}),
]

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/assets/chat-templates")


def template(name: str) -> ChatTemplate:
    return ChatTemplate((FOLDER / f"{name}.jinja").read_text(), eos_token="</s>")


def assistant(calls: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    made = [
        {"type": "function", "id": f"abcdefgh{i}", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


def written(chat: ChatTemplate, calls: list[tuple[str, dict[str, Any]]], form: Format) -> tuple[str, bool]:
    """What follows the prompt where a model answered with these calls, and whether the prompt left thinking open."""
    tools = [tool.as_json() for tool in TOOLS]
    user = {"role": "user", "content": "hi?"}
    said = assistant(calls)
    prompt = chat.render([user], tools=tools)
    try:
        whole = chat.render([user, said], tools=tools, add_generation_prompt=False)
    except TemplateError:  # it wants the arguments as text
        for call in said["tool_calls"]:
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        whole = chat.render([user, said], tools=tools, add_generation_prompt=False)
    text = whole[len(common_start(whole, prompt)) :]
    is_open = form.thinking is not None and form.thinking.is_open(prompt)
    is_open = is_open and form.thinking.start not in text and form.thinking.end in text  # type: ignore[union-attr]
    return text.removeprefix(form.prompt_end), is_open


@pytest.mark.parametrize("name", FORMATS)
def test_a_template_shows_its_format(name: str) -> None:
    source = (FOLDER / f"{name}.jinja").read_text()
    assert format_of(source, True).name == FORMATS[name]


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if not NO_CALLS & {name, form}])
def test_calls_that_a_template_writes_are_read(name: str) -> None:
    chat = template(name)
    form = format_of(chat.source, True)
    for n in range(1, 2 if form.name in ONE_CALL else 4):
        text, starts_thinking = written(chat, CALLS[:n], form)
        message = parse(text, form, tools=TOOLS, starts_thinking=starts_thinking)
        assert [(call.name, json.loads(call.arguments)) for call in message.tool_calls] == CALLS[:n], text


DERIVED = [
    "Apertus-8B-Instruct", "Apriel-1.6-15b-Thinker-fixed", "Bielik-11B-v3.0-Instruct", "ByteDance-Seed-OSS",
    "Cohere2MoE", "GLM-4.6", "GLM-4.7-Flash", "MiniMax-M1", "MiniMax-M2", "Mistral-Small-3.2-24B-Instruct-2506",
    "NVIDIA-Nemotron-Nano-v2", "Qwen-Qwen3-0.6B", "Qwen3-Coder", "Spark2.5", "deepseek-ai-DeepSeek-V3.1",
    "ibm-granite-granite-4.0", "meetkai-functionary-medium-v3.1", "mistralai-Ministral-3-14B-Reasoning-2512",
    "mistralai-Mistral-Nemo-Instruct-2407", "poolside-Laguna-XS.2", "tencent-Hy3",
]  # fmt: skip


@pytest.mark.parametrize("name", DERIVED)
def test_the_marks_of_calls_can_be_found_by_rendering(name: str) -> None:
    """As if the format were not known."""
    chat = template(name)
    found = derive(chat.render)
    assert found is not None
    form = with_thinking(found, chat.source)
    for n in range(1, 4):
        text, starts_thinking = written(chat, CALLS[:n], form)
        message = parse(text, form, tools=TOOLS, starts_thinking=starts_thinking)
        assert [(call.name, json.loads(call.arguments)) for call in message.tool_calls] == CALLS[:n], text
    known = format_of(chat.source, True)
    assert form.calls is not None and known.calls is not None
    assert form.calls.starts[0] in known.calls.starts


def test_a_template_without_calls_shows_none() -> None:
    assert derive(template("google-gemma-2-2b-it").render) is None
    assert derive(template("microsoft-Phi-3.5-mini-instruct").render) is None


def test_an_unknown_template_gets_the_format_that_it_shows() -> None:
    """A made-up format of each kind, found by rendering alone."""
    cases = {
        "<<CALL>>{{ c.function | tojson }}<<END>>": "JsonCalls",
        '(({"tool": "{{ c.function.name }}", "args": {{ c.function.arguments | tojson }}}))': "JsonCalls",
        "~~{{ c.function.name }}:={{ c.function.arguments | tojson }}~~ ": "NamedCalls",
        "<do {{ c.function.name }}>{% for k, v in c.function.arguments.items() %}<with {{ k }}>{{ v }}</with>"
        "{% endfor %}</do>": "TaggedCalls",
    }
    for written_call, kind in cases.items():
        source = (
            "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}"
            + written_call
            + "{% endfor %}[/{{ m.role }}]{% endfor %}"
        )
        chat = ChatTemplate(source)
        form = format_of(source, True, render=chat.render)
        assert (form.name, type(form.calls).__name__) == ("derived", kind)
        message = parse(chat.render([assistant(CALLS)]), form, tools=TOOLS)
        assert [(call.name, json.loads(call.arguments)) for call in message.tool_calls] == CALLS
        constraint = constraint_for(form, TOOLS)
        assert constraint is not None and constraint.triggers is not None


@pytest.mark.parametrize(
    "has_tools, choice, has_schema, name",
    [
        (True, AUTO, False, "hermes"),
        (True, AUTO, True, "generic"),
        (False, AUTO, True, "hermes"),
        (True, ToolChoice(ToolUse.NONE), False, "hermes"),
    ],
)
def test_what_is_asked_for_decides_whether_there_are_calls(
    has_tools: bool, choice: ToolChoice, has_schema: bool, name: str
) -> None:
    form = format_of((FOLDER / "Qwen-Qwen3-0.6B.jinja").read_text(), has_tools, choice, has_schema)
    assert form.name == name
    assert (form.calls is not None) is (has_tools and choice.use is not ToolUse.NONE)
    assert form.thinking is not None
