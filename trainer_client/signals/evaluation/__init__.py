"""Figures about a policy, a judge or a search; no training signal is made from them.

Each module without a leading underscore is the file of a method and is found by being here.
"""
