"""How a response is written, whatever it says."""
