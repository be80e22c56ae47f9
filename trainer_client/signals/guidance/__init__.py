"""Help for what the policy cannot solve, and how rows written with help count.

Each module without a leading underscore is the file of a method and is found by being here.
"""
