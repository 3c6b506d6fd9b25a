"""The library side of `llamakit gguf set`.

`changes` says what is to change, `tokenizer` makes changes of special tokens and chat templates, `check` refuses what
would break the model, `write` does it.
"""
