"""HTTP in front of the engine: async handlers above, one scheduler's thread below."""
