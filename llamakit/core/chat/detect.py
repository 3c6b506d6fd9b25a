"""Which named template a model's Jinja text is, told by what occurs in it: what llama.cpp uses without Jinja."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """`name`, if the text holds all of `has`; then the first of `among` that fits has the last word."""

    name: str
    has: tuple[str, ...] = ()
    among: tuple[Rule, ...] = ()


def rule(name: str, *has: str, among: tuple[Rule, ...] = ()) -> Rule:
    return Rule(name, has, among)


_MISTRAL_FIRST = (rule("mistral-v1", " [INST]"), rule("mistral-v3-tekken", '"[INST]"'))
_INST = (
    rule("mistral-v7", "[SYSTEM_PROMPT]"),
    rule("mistral-v3", "' [INST] ' + system_message", among=_MISTRAL_FIRST),
    rule("mistral-v3", "[AVAILABLE_TOOLS]", among=_MISTRAL_FIRST),
    rule("llama2-sys-strip", "content.strip()"),
    rule("llama2-sys-bos", "bos_token + '[INST]"),
    rule("llama2-sys", "<<SYS>>"),
)
_GRANITE_4 = (rule("granite-4.0", "g4_default_system_message"),)

# The first that fits.
RULES = (
    rule("chatml", "<|im_start|>", among=(rule("phi4", "<|im_sep|>"), rule("smolvlm", "<end_of_utterance>"))),
    rule("llama2", "[INST]", among=_INST),
    rule("phi3", "<|assistant|>", "<|end|>"),
    rule("chatglm4", "[gMASK]<sop>"),
    rule(
        "glmedge",
        *("<|assistant|>", "<|user|>"),
        among=(rule("exaone-moe", "<|tool_declare|>"), rule("falcon3", "</s>")),
    ),
    rule("glmedge", "<|{{ item['role'] }}|>", "<|begin_of_image|>"),
    rule("zephyr", "<|user|>", "<|endoftext|>"),
    rule("monarch", "bos_token + message['role']"),
    rule("gemma", "<start_of_turn>"),
    rule("orion", r"'\n\nAssistant: ' + eos_token"),
    rule("openchat", "GPT4 Correct "),
    rule("vicuna", "USER: ", "ASSISTANT: ", among=(rule("vicuna-orca", "SYSTEM: "),)),
    rule("deepseek", "### Instruction:", "<|EOT|>"),
    rule("command-r", "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"),
    rule("llama3", "<|start_header_id|>", "<|end_header_id|>"),
    rule("chatglm3", "[gMASK]sop"),
    rule("minicpm", "<用户>"),
    rule("deepseek2", "'Assistant: ' + message['content'] + eos_token"),
    rule("deepseek3", "<｜Assistant｜>", "<｜User｜>", "<｜end▁of▁sentence｜>"),
    rule("exaone3", "[|system|]", "[|assistant|]", "[|endofturn|]", among=(rule("exaone4", "[|tool|]"),)),
    rule("rwkv-world", "rwkv-world"),
    rule("rwkv-world", r"{{- 'User: ' + message['content']|trim + '\n\n' -}}"),
    rule(
        "granite",
        "<|start_of_role|>",
        among=(
            rule("granite-4.1", "<tool_call>", among=_GRANITE_4),
            rule("granite-4.1", "<tools>", among=_GRANITE_4),
        ),
    ),
    rule(
        "gigachat",
        "message['role'] + additional_special_tokens[0] + message['content'] + additional_special_tokens[1]",
    ),
    rule("megrez", "<|role_start|>"),
    rule("yandex", " Ассистент:"),
    rule("bailing", "<role>ASSISTANT</role>", "'HUMAN'"),
    rule("bailing-think", "<role>ASSISTANT</role>", '"HUMAN"', "<think>"),
    rule("bailing2", "<role>ASSISTANT</role>", "<role>HUMAN</role>", "<|role_end|>"),
    rule("llama4", "<|header_start|>", "<|header_end|>"),
    rule("dots1", "<|endofuserprompt|>"),
    rule("hunyuan-moe", "<|extra_0|>", "<|extra_4|>"),
    rule("gpt-oss", "<|start|>", "<|channel|>"),
    rule("hunyuan-vl", "<｜hy_Assistant｜>", "<｜hy_begin▁of▁sentence｜>"),
    rule("hunyuan-dense", "<｜hy_Assistant｜>", "<｜hy_place▁holder▁no▁3｜>"),
    rule("kimi-k2", "<|im_assistant|>assistant<|im_middle|>"),
    rule("seed_oss", "<seed:bos>"),
    rule("grok-2", "'Assistant: '  + message['content'] + '<|separator|>"),
    rule("pangu-embedded", "[unused9]系统：[unused10]"),
    rule("solar-open", "<|begin|>", "<|end|>", "<|content|>"),
)


def detect(text: str) -> str | None:
    """The name of the template that a Jinja text is recognised as."""
    return first_fit(text, RULES)


def first_fit(text: str, rules: tuple[Rule, ...]) -> str | None:
    for candidate in rules:
        if all(part in text for part in candidate.has):
            return first_fit(text, candidate.among) or candidate.name
    return None
