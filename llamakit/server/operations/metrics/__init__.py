"""Figures for Prometheus, under the names of llama-server, of TGI, and some of our own."""

from llamakit.server.operations.metrics.metrics import Metrics

__all__ = ["Metrics"]
