"""Tests of the gRPC face, with real servers."""
