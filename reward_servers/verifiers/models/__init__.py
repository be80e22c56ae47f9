"""Models from local files beside preference models: steps, texts that mean the same, likelihoods, comparisons."""
