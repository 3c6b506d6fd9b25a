"""Parts that layers are composed of: each says the tensors it needs where it uses them."""
