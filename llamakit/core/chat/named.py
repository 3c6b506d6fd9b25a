"""The templates that have a name, `--chat-template NAME`: how each writes a message, by role.

In a pattern, {R} is the role, {C} the content, {T} the content without white space around it. `other` is for roles
that have no pattern of their own; without it, their messages are left out. No template writes the BOS token in front:
tokenizing adds it. The names, and what they write, are llama.cpp's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VALUES = {"{R}": "message.role", "{C}": "message.content", "{T}": r"message.content | trim(' \t\n\v\f\r')"}


@dataclass(frozen=True, slots=True)
class Turns:
    """A template that writes each message for itself. `opens` begins the assistant's turn."""

    other: str | None = None
    opens: str = ""
    system: str | None = None
    user: str | None = None
    assistant: str | None = None
    tool: str | None = None
    function: str | None = None
    assistant_tool_call: str | None = None
    start: str = ""  # before all messages
    last_user: str = ""  # after the last message, if it is a user's

    def jinja(self) -> str:
        """The template as Jinja text."""
        roles = ("system", "user", "assistant", "tool", "function", "assistant_tool_call")
        patterns = [(role, pattern) for role in roles if (pattern := getattr(self, role)) is not None]
        body = "".join(f"{{% if message.role == '{role}' %}}{written(text)}{{% else %}}" for role, text in patterns)
        body += written(self.other or "") + "{% endif %}" * len(patterns)
        if self.last_user:
            body += "{% if message.role == 'user' and loop.last %}" + written(self.last_user) + "{% endif %}"
        text = written(self.start) + "{% for message in messages %}" + body + "{% endfor %}"
        return text + ("{% if add_generation_prompt %}" + written(self.opens) + "{% endif %}" if self.opens else "")


def written(pattern: str) -> str:
    """A pattern as Jinja text."""
    parts = [part for part in re.split(r"(\{[RCT]\})", pattern) if part]
    return "".join(f"{{{{ {_VALUES.get(part) or repr(part)} }}}}" for part in parts)


def llama2(system: str, turn: str = "[INST] ", content: str = "{C}") -> str:
    """Llama 2: system and user share a turn, and an assistant's answer ends it."""
    return f"""
{{%- set ns = namespace(open=true) -%}}
{written("[INST] ")}
{{%- for message in messages -%}}
  {{%- if not ns.open -%}} {written(turn)} {{%- endif -%}}
  {{%- set ns.open = message.role in ['system', 'user'] -%}}
  {{%- if message.role == 'system' -%}} {written(system)}
  {{%- elif message.role == 'user' -%}} {written(content + " [/INST]")}
  {{%- else -%}} {written(content + "</s>")}
  {{%- endif -%}}
{{%- endfor -%}}"""


def mistral(before: str, after: str, answer: str) -> str:
    """Mistral's first versions: blanks before and after [INST], and the pattern of an answer."""
    return f"""
{{%- set ns = namespace(open=false) -%}}
{{%- for message in messages -%}}
  {{%- if not ns.open -%}} {written(before + "[INST]" + after)} {{%- endif -%}}
  {{%- set ns.open = message.role in ['system', 'user'] -%}}
  {{%- if message.role == 'system' -%}} {written("{C}" + chr(10) * 2)}
  {{%- elif message.role == 'user' -%}} {written("{C}" + before + "[/INST]")}
  {{%- else -%}} {written(after + answer + "</s>")}
  {{%- endif -%}}
{{%- endfor -%}}"""


GEMMA = f"""
{{%- set ns = namespace(system='') -%}}
{{%- for message in messages -%}}
  {{%- if message.role == 'system' -%}} {{%- set ns.system = ns.system ~ {_VALUES["{T}"]} -%}}
  {{%- else -%}}
    {{{{ '<start_of_turn>' ~ ('model' if message.role == 'assistant' else message.role) ~ '\\n' }}}}
    {{%- if ns.system and message.role != 'assistant' -%}}
      {{{{ ns.system ~ '\\n\\n' }}}} {{%- set ns.system = '' -%}}
    {{%- endif -%}}
    {written("{T}<end_of_turn>" + chr(10))}
  {{%- endif -%}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}} {{{{ '<start_of_turn>model\\n' }}}} {{%- endif -%}}"""

ORION = """
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
  {%- if message.role == 'system' -%} {%- set ns.system = ns.system ~ message.content -%}
  {%- elif message.role == 'user' -%}
    {{ 'Human: ' ~ (ns.system ~ '\\n\\n' if ns.system else '') ~ message.content ~ '\\n\\nAssistant: </s>' }}
    {%- set ns.system = '' -%}
  {%- else -%} {{ message.content ~ '</s>' }}
  {%- endif -%}
{%- endfor -%}"""

MONARCH = """
{%- for message in messages -%}
  {{ ('' if loop.first else '<s>') ~ message.role ~ '\\n' ~ message.content ~ '</s>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%} {{ '<s>assistant\\n' }} {%- endif -%}"""

OPENCHAT = """
{%- for message in messages -%}
  {%- if message.role == 'system' -%} {{ message.content ~ '<|end_of_turn|>' }}
  {%- else -%}
    {{ 'GPT4 Correct ' ~ message.role[:1] | upper ~ message.role[1:] ~ ': ' ~ message.content ~ '<|end_of_turn|>' }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%} {{ 'GPT4 Correct Assistant:' }} {%- endif -%}"""

GIGACHAT = """
{{- '<s>' -}}
{%- for message in messages -%}
  {%- if message.role == 'system' and loop.first -%} {{ message.content ~ '<|message_sep|>' }}
  {%- elif message.role == 'user' -%}
    {{ 'user<|role_sep|>' ~ message.content ~ '<|message_sep|>available functions<|role_sep|>[]<|message_sep|>' }}
  {%- elif message.role == 'assistant' -%} {{ 'assistant<|role_sep|>' ~ message.content ~ '<|message_sep|>' }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%} {{ 'assistant<|role_sep|>' }} {%- endif -%}"""

HUNYUAN_DENSE = """
{%- for message in messages -%}
  {%- if message.role == 'system' and loop.first -%} {{ message.content ~ '<｜hy_place▁holder▁no▁3｜>' }}
  {%- elif message.role == 'user' -%} {{ '<｜hy_User｜>' ~ message.content ~ '<｜hy_Assistant｜>' }}
  {%- elif message.role == 'assistant' -%}
    {{ '<｜hy_Assistant｜>' ~ message.content ~ '<｜hy_place▁holder▁no▁2｜>' }}
  {%- endif -%}
{%- endfor -%}"""

HUNYUAN_VL = """
{{- '<｜hy_begin▁of▁sentence｜>' -}}
{%- for message in messages -%}
  {%- if message.role == 'system' and loop.first -%} {{ message.content ~ '<｜hy_place▁holder▁no▁3｜>' }}
  {%- elif message.role == 'user' -%} {{ message.content ~ '<｜hy_User｜>' }}
  {%- elif message.role == 'assistant' -%} {{ message.content ~ '<｜hy_Assistant｜>' }}
  {%- endif -%}
{%- endfor -%}"""


def bailing(after: str = "", default_system: str = "", opens: str = "") -> str:
    """Ling and Ring: roles in capitals, the user is a HUMAN."""
    return f"""
{{%- if not (messages and messages[0].role == 'system') -%}} {written(default_system)} {{%- endif -%}}
{{%- for message in messages -%}}
  {{{{ '<role>' ~ ('HUMAN' if message.role == 'user' else message.role | upper) ~ '</role>' ~ message.content }}}}
  {{{{- {after!r} -}}}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}} {written("<role>ASSISTANT</role>" + opens)} {{%- endif -%}}"""


def pangu() -> str:
    names = {"system": "系统", "user": "用户", "assistant": "助手", "tool": "工具", "function": "方法"}
    return f"""
{{%- set names = {names} -%}}
{{%- for message in messages -%}}
  {{%- if loop.first and message.role != 'system' -%}} {{{{ '[unused9]系统：[unused10]' }}}} {{%- endif -%}}
  {{%- if message.role in names -%}}
    {{{{ '[unused9]' ~ names[message.role] ~ '：' ~ message.content ~ '[unused10]' }}}}
  {{%- endif -%}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}} {{{{ '[unused9]助手：' }}}} {{%- endif -%}}"""


LLAMA2_SYSTEM = "<<SYS>>\n{C}\n<</SYS>>\n\n"
GRANITE = "<|start_of_role|>{R}<|end_of_role|>{C}<|end_of_text|>\n"
GRANITE_OPENS = "<|start_of_role|>assistant<|end_of_role|>"
GRANITE_4 = Turns(GRANITE, GRANITE_OPENS, assistant_tool_call=GRANITE_OPENS + "<|tool_call|>{C}<|end_of_text|>\n")
EXAONE = {
    "opens": "[|assistant|]",
    "system": "[|system|]{T}[|endofturn|]\n",
    "user": "[|user|]{T}\n",
    "assistant": "[|assistant|]{T}[|endofturn|]\n",
}
EXAONE_MOE = {role: f"<|{role}|>\n{{T}}<|endofturn|>\n" for role in ("system", "user", "assistant", "tool")}

TEMPLATES: dict[str, Turns | str] = {
    "chatml": Turns("<|im_start|>{R}\n{C}<|im_end|>\n", "<|im_start|>assistant\n"),
    "llama2": llama2("{C}\n"),
    "llama2-sys": llama2(LLAMA2_SYSTEM),
    "llama2-sys-bos": llama2(LLAMA2_SYSTEM, turn="<s>[INST] "),
    "llama2-sys-strip": llama2(LLAMA2_SYSTEM.replace("{C}", "{T}"), content="{T}"),
    "mistral-v1": mistral(" ", " ", "{C}"),
    "mistral-v3": mistral("", " ", "{T}"),
    "mistral-v3-tekken": mistral("", "", "{C}"),
    "mistral-v7": Turns(" {C}</s>", system="[SYSTEM_PROMPT] {C}[/SYSTEM_PROMPT]", user="[INST] {C}[/INST]"),
    "mistral-v7-tekken": Turns("{C}</s>", system="[SYSTEM_PROMPT]{C}[/SYSTEM_PROMPT]", user="[INST]{C}[/INST]"),
    "phi3": Turns("<|{R}|>\n{C}<|end|>\n", "<|assistant|>\n"),
    "phi4": Turns("<|im_start|>{R}<|im_sep|>{C}<|im_end|>", "<|im_start|>assistant<|im_sep|>"),
    "falcon3": Turns("<|{R}|>\n{C}\n", "<|assistant|>\n"),
    "zephyr": Turns("<|{R}|>\n{C}<|endoftext|>\n", "<|assistant|>\n"),
    "monarch": MONARCH,
    "gemma": GEMMA,
    "orion": ORION,
    "openchat": OPENCHAT,
    "vicuna": Turns(opens="ASSISTANT:", system="{C}\n\n", user="USER: {C}\n", assistant="ASSISTANT: {C}</s>\n"),
    "vicuna-orca": Turns(
        opens="ASSISTANT:", system="SYSTEM: {C}\n", user="USER: {C}\n", assistant="ASSISTANT: {C}</s>\n"
    ),
    "deepseek": Turns(
        opens="### Response:\n",
        system="{C}",
        user="### Instruction:\n{C}\n",
        assistant="### Response:\n{C}\n<|EOT|>\n",
    ),
    "deepseek2": Turns(
        opens="Assistant:",
        system="{C}\n\n",
        user="User: {C}\n\n",
        assistant="Assistant: {C}<｜end▁of▁sentence｜>",
    ),
    "deepseek3": Turns(
        opens="<｜Assistant｜>",
        system="{C}\n\n",
        user="<｜User｜>{C}",
        assistant="<｜Assistant｜>{C}<｜end▁of▁sentence｜>",
    ),
    "deepseek-ocr": Turns("{C}"),
    "command-r": Turns(
        opens="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{T}<|END_OF_TURN_TOKEN|>",
        user="<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{T}<|END_OF_TURN_TOKEN|>",
        assistant="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{T}<|END_OF_TURN_TOKEN|>",
    ),
    "llama3": Turns(
        "<|start_header_id|>{R}<|end_header_id|>\n\n{T}<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "chatglm3": Turns("<|{R}|>\n {C}", "<|assistant|>", start="[gMASK]sop"),
    "chatglm4": Turns("<|{R}|>\n{C}", "<|assistant|>\n", start="[gMASK]<sop>"),
    "glmedge": Turns("<|{R}|>\n{C}", "<|assistant|>"),
    "minicpm": Turns("{T}", user="<用户>{T}<AI>"),
    "exaone3": Turns(**EXAONE),
    "exaone4": Turns(**EXAONE, tool="[|tool|]{T}[|endofturn|]\n"),
    "exaone-moe": Turns(opens="<|assistant|>\n", **EXAONE_MOE),
    "rwkv-world": Turns(
        system="System: {T}\n\n", user="User: {T}\n\n", assistant="Assistant: {T}\n\n", last_user="Assistant:"
    ),
    "granite": Turns(
        GRANITE, GRANITE_OPENS, assistant_tool_call=GRANITE.replace("<|end_of_role|>", "<|end_of_role|><|tool_call|>")
    ),
    "granite-4.0": GRANITE_4,
    "granite-4.1": GRANITE_4,
    "gigachat": GIGACHAT,
    "megrez": Turns("<|role_start|>{R}<|role_end|>{C}<|turn_end|>", "<|role_start|>assistant<|role_end|>"),
    "yandex": Turns(opens=" Ассистент:[SEP]", user=" Пользователь: {C}\n\n", assistant=" Ассистент: {C}\n\n"),
    "bailing": bailing(),
    "bailing-think": bailing(opens="<think>"),
    "bailing2": bailing("<|role_end|>", default_system="<role>SYSTEM</role>detailed thinking off<|role_end|>"),
    "llama4": Turns("<|header_start|>{R}<|header_end|>\n\n{T}<|eot|>", "<|header_start|>assistant<|header_end|>\n\n"),
    "smolvlm": Turns(
        "Assistant: {C}<end_of_utterance>\n",
        "Assistant:",
        system="{C}\n\n",
        user="User: {C}<end_of_utterance>\n",
        start="<|im_start|>",
    ),
    "hunyuan-moe": Turns(
        "<|startoftext|>{C}<|extra_0|>", system="<|startoftext|>{C}<|extra_4|>", assistant="{C}<|eos|>"
    ),
    "gpt-oss": Turns(
        "<|start|>{R}<|message|>{C}<|end|>",
        "<|start|>assistant",
        assistant="<|start|>assistant<|message|>{C}<|return|>",
    ),
    "hunyuan-dense": HUNYUAN_DENSE,
    "hunyuan-vl": HUNYUAN_VL,
    "kimi-k2": Turns(
        "{C}<|im_end|>",
        "<|im_assistant|>assistant<|im_middle|>",
        system="<|im_system|>system<|im_middle|>{C}<|im_end|>",
        user="<|im_user|>user<|im_middle|>{C}<|im_end|>",
        assistant="<|im_assistant|>assistant<|im_middle|>{C}<|im_end|>",
        tool="<|im_system|>tool<|im_middle|>{C}<|im_end|>",
    ),
    "seed_oss": Turns(
        "<seed:bos>{R}\n{C}<seed:eos>", "<seed:bos>assistant\n", assistant="<seed:bos>assistant\n{T}<seed:eos>"
    ),
    "grok-2": Turns(
        opens="Assistant:",
        system="System: {T}<|separator|>\n\n",
        user="Human: {T}<|separator|>\n\n",
        assistant="Assistant: {C}<|separator|>\n\n",
    ),
    "pangu-embedded": pangu(),
    "solar-open": Turns("<|begin|>{R}<|content|>{C}<|end|>", "<|begin|>assistant"),
}
DOTS1 = Turns(
    "<|response|>{C}<|endofresponse|>",
    "<|response|>",
    system="<|system|>{C}<|endofsystem|>",
    user="<|userprompt|>{C}<|endofuserprompt|>",
)
NAMES = tuple(TEMPLATES)
DETECTED: dict[str, Turns | str] = {**TEMPLATES, "dots1": DOTS1}  # dots1 is recognised, but not called by its name


def named(name: str) -> str:
    """The Jinja text of a template that has a name."""
    template = DETECTED[name]
    return template if isinstance(template, str) else template.jinja()
