"""Processes of one host that share a client: one of them sends the requests of all."""
