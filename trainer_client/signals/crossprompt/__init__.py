"""Answers to different prompts, or wordings of one, that ought to agree.

Each module without a leading underscore is the file of a method and is found by being here.
"""
