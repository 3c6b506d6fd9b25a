"""The GGUF file format: reading, writing, splitting. Knows nothing of models.

From the bytes up: `source` opens a file, `header` scans it, `layout` places the tensors, `file` is one open file,
`reader` a model of one or many files; `output`, `writer` and `split_writer` go the other way.
"""
