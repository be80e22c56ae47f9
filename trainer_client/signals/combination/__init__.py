"""Several scores of a rollout to one reward.

Each module without a leading underscore is the file of a method and is found by being here.
"""
