"""Which rows, groups or prompts to train on, and how many rollouts a prompt gets.

Each module without a leading underscore is the file of a method and is found by being here.
"""
