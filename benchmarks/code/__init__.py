"""What judging costs beside the usual unsandboxed way: `python -m benchmarks.code`."""
