"""Contract tests against the real vLLM server; `make test-vllm` runs them."""
