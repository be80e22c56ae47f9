"""Speed and accuracy of the math engine."""
