"""What tools/demo runs: two teams that share one Prometheus."""
