"""What surrounds every request, whatever its API: keys, origins, limits, figures, traces, logs."""
