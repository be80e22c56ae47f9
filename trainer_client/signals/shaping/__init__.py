"""A reward changed row by row, by what else is known of the rollout.

Each module without a leading underscore is the file of a method and is found by being here.
"""
