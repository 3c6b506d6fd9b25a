"""How well a model foresees a text, how far it is from another model, and how it chooses among given answers."""
