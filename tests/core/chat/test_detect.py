"""Which named template a text is recognised as: as by llama.cpp, whose prompts for these texts told the names."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.core.chat.detect import RULES, Rule, detect
from llamakit.core.chat.named import DETECTED

FOLDER = Path(__file__).parents[4] / "shared/assets/chat-templates"
CASES = [
    ("<|im_start|>", "chatml"),
    ("<|im_start|><|im_sep|>", "phi4"),
    ("<|im_start|><end_of_utterance>", "smolvlm"),
    ("[INST]", "llama2"),
    ("[INST] content.strip()", "llama2-sys-strip"),
    ("bos_token + '[INST]", "llama2-sys-bos"),
    ("[INST] <<SYS>>", "llama2-sys"),
    ("[INST][SYSTEM_PROMPT]", "mistral-v7"),
    ("[INST][AVAILABLE_TOOLS]", "mistral-v3"),
    (" [INST][AVAILABLE_TOOLS]", "mistral-v1"),
    ('"[INST]"[AVAILABLE_TOOLS]', "mistral-v3-tekken"),
    ("' [INST] ' + system_message", "mistral-v1"),
    ("<|assistant|><|user|>", "glmedge"),
    ("<|assistant|><|user|></s>", "falcon3"),
    ("<|assistant|><|user|><|tool_declare|></s>", "exaone-moe"),
    ("<|assistant|><|end|><|user|>", "phi3"),
    ("<|user|><|endoftext|>", "zephyr"),
    ("USER: ASSISTANT: ", "vicuna"),
    ("USER: ASSISTANT: SYSTEM: ", "vicuna-orca"),
    ("<|start_of_role|>", "granite"),
    ("<|start_of_role|><tools>", "granite-4.1"),
    ("<|start_of_role|><tool_call>g4_default_system_message", "granite-4.0"),
    ("[|system|][|assistant|][|endofturn|]", "exaone3"),
    ("[|system|][|assistant|][|endofturn|][|tool|]", "exaone4"),
    ("<role>ASSISTANT</role>'HUMAN'", "bailing"),
    ('<role>ASSISTANT</role>"HUMAN"<think>', "bailing-think"),
    ("<role>ASSISTANT</role><role>HUMAN</role><|role_end|>", "bailing2"),
    ("<｜hy_Assistant｜><｜hy_begin▁of▁sentence｜><｜hy_place▁holder▁no▁3｜>", "hunyuan-vl"),
    ("<｜hy_Assistant｜><｜hy_place▁holder▁no▁3｜>", "hunyuan-dense"),
    ("<|begin|><|end|><|content|>", "solar-open"),
    ("<start_of_turn><|start_header_id|><|end_header_id|>", "gemma"),
    ("<|endofuserprompt|>", "dots1"),
    ("[gMASK]<sop>", "chatglm4"),
    ("[gMASK]sop", "chatglm3"),
    ("{{ messages }}", None),
]
FILES = {
    "Qwen-Qwen3-0.6B": "chatml",
    "meta-llama-Llama-3.1-8B-Instruct": "llama3",
    "mistralai-Mistral-Nemo-Instruct-2407": "mistral-v3-tekken",
    "microsoft-Phi-3.5-mini-instruct": "phi3",
    "google-gemma-2-2b-it": "gemma",
    "deepseek-ai-DeepSeek-V3.1": "deepseek3",
    "openai-gpt-oss-120b": "gpt-oss",
    "ibm-granite-granite-4.0": "granite-4.0",
    "moonshotai-Kimi-K2": "kimi-k2",
    "MiniMax-M2": None,
}


@pytest.mark.parametrize("text, name", CASES)
def test_a_text_is_recognised_by_what_occurs_in_it(text: str, name: str | None) -> None:
    assert detect(f"{{% if x %}}{text}{{% endif %}}") == name


@pytest.mark.parametrize("file, name", FILES.items())
def test_the_templates_of_models_are_recognised(file: str, name: str | None) -> None:
    path = FOLDER / f"{file}.jinja"
    if not path.exists():
        pytest.skip(f"no templates in {FOLDER}")
    assert detect(path.read_text(encoding="utf-8")) == name


def test_every_rule_names_a_template() -> None:
    def names(rules: tuple[Rule, ...]) -> set[str]:
        return {rule.name for rule in rules} | {name for rule in rules for name in names(rule.among)}

    assert names(RULES) == set(DETECTED) - {"mistral-v7-tekken", "deepseek-ocr"}  # which nothing tells apart
