"""Pairs and lists to learn a preference from.

Each module without a leading underscore is the file of a method and is found by being here.
"""
