"""Libraries that judge: each stands alone and knows nothing of servers, transports or rewards as a service."""
