"""Rewards to one advantage per token, step, turn or item.

Each module without a leading underscore is the file of a method and is found by being here.
"""
