"""Source that is executed inside the sandbox, as drivers next to foreign code or trusted test code.

The engine reads these files as text and sends them along; of them it imports only `plain`, the codec of the data
that crosses the border. They use the standard library only.
"""
