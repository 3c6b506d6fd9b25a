"""The library side of `llamakit quantize`.

From the rules up: `file_types` names what can be made, `roles` sorts tensors by name, `recipes` says which type each
role gets, `mix` applies a recipe to a model, `plan` adds what the user asks for; `metadata`, `packing` and `run` write
the file.
"""
