"""The two faces of the client, what they share, and the servers that it starts itself."""
