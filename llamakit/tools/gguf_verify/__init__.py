"""The library side of `llamakit gguf verify`: `run.verify` goes over a model and yields what is wrong with it.

`finding` says what a finding is, `scales` which numbers of a block must be sound, `blocks` looks at them all,
`file` at what lies between the tensors, `general`, `vocabulary` and `templates` at the metadata.
"""
