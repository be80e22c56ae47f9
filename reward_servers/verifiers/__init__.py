"""The verifiers that come with the project, one file each: thin faces of the engines.

Each is found by its entry point; nothing here is imported before it is asked for.
"""
