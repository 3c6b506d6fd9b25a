"""The stages of the sampler: a file each, or a family of them."""
