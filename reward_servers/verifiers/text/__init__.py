"""Texts beside reference texts: question answering, translation, summaries, transcripts."""
