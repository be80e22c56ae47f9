"""Data: commands, signs, words and units, as tables."""
