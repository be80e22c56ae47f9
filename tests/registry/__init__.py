"""Registry: servers announce themselves, clients find them."""
