"""The chat formats of llama-cpp-python by their names, `chat_format="alpaca"`, as templates of ours."""

from __future__ import annotations

from llamakit.core.chat.named import Turns, llama2

OWN = "chat_template.default"  # the model's

# Names that mean one of ours, and texts of templates.
SAME = {
    "llama-2": "llama2-sys", "llama-3": "llama3", "mistral-instruct": llama2("{C}\n\n"), "qwen": "chatml",
    "functionary": "chatml", "functionary-v1": "chatml", "functionary-v2": "chatml",
    "chatml-function-calling": "chatml",
}  # fmt: skip

# Of models that had no template of their own, as their makers say.
PLAIN = {
    "alpaca": Turns(
        system="{C}\n\n", user="### Instruction: {C}\n\n", assistant="### Response: {C}</s>", opens="### Response:"
    ),
    "oasst_llama": Turns(
        system="[INST] <<SYS>>\n{C}\n<</SYS>>\n\n", user="<|prompter|>{C}</s>", assistant="<|assistant|>{C}</s>",
        opens="<|assistant|>",
    ),
    "baichuan": Turns(system="{C}", user="<reserved_102>{C}", assistant="<reserved_103>{C}", opens="<reserved_103>"),
    "baichuan-2": Turns(system="{C}", user="<reserved_106>{C}", assistant="<reserved_107>{C}", opens="<reserved_107>"),
    "openbuddy": Turns(system="{C}\n", user="User: {C}\n", assistant="Assistant: {C}\n", opens="Assistant:"),
    "redpajama-incite": Turns(system="{C}\n", user="<human>: {C}\n", assistant="<bot>: {C}\n", opens="<bot>:"),
    "snoozy": Turns(
        system="### Instruction:\n{C}\n", user="### Prompt: {C}\n", assistant="### Response: {C}\n",
        opens="### Response:",
    ),
    "phind": Turns(
        system="### System Prompt\n{C}\n\n", user="### User Message: {C}\n\n", assistant="### Assistant: {C}\n\n",
        opens="### Assistant:",
    ),
    "intel": Turns(
        system="### System:\n{C}\n", user="### User: {C}\n", assistant="### Assistant: {C}\n", opens="### Assistant:"
    ),
    "open-orca": Turns(
        system="{C}<|end_of_turn|>\n", user="User: {C}<|end_of_turn|>\n", assistant="Assistant: {C}<|end_of_turn|>\n",
        opens="Assistant: ",
    ),
    "mistrallite": Turns(
        system="<|system|>{C}</s>", user="<|prompter|>{C}</s>", assistant="<|assistant|>{C}</s>", opens="<|assistant|>"
    ),
    "pygmalion": Turns(system="<|system|>{C}\n", user="<|user|>{C}\n", assistant="<|model|>{C}\n", opens="<|model|>"),
    "saiga": Turns(
        system="<s>system\n{C}</s>", user="<s>user\n{C}</s>", assistant="<s>bot\n{C}</s>", opens="<s>bot"
    ),
}  # fmt: skip


def template_text(name: str | None) -> str | None:
    """What `load_template` takes for a format: a name of ours, or Jinja text; None for the model's own."""
    if not name or name == OWN:
        return None
    return PLAIN[name].jinja() if name in PLAIN else SAME.get(name, name)
