"""One training loop for all systems: `loop.train`, on Hugging Face Accelerate."""
