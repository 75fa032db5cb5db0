"""What the service counts, for Prometheus (docs/adr/0040)."""
