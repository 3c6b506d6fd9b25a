"""text-generation-inference's API, for its clients."""
