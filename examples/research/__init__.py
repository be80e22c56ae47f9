"""Answers to a question over several documents: cited, graded by a rubric, judged."""
