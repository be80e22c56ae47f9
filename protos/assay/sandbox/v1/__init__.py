"""Generated messages and stubs of the sandbox contract, version 1."""
