"""Tasks with known answers, in the formats they come in, and how well a model does at them."""
