"""Attacks the gateway's HTTP for as long as it is told, beside a caller who behaves."""
