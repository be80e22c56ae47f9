"""Processes of one host that share a client: one of them asks the servers for all."""
