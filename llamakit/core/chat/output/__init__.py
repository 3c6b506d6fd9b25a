"""What a model wrote, told apart as it comes: reasoning, content and tool calls; and the grammars that keep it so.

registry.py      the formats, in the order in which they are looked for in a template; formats/ has one file for each
format.py        what a format is; json_calls.py, named_calls.py, tagged_calls.py, ... the kinds that most of them are
parser.py        text in, deltas out; source.py is the text, output.py where the parts go
constraint.py    the grammar of a format's calls, and what wakes it
"""
