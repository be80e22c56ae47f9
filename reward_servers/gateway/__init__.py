"""The HTTP face: a recipe's servers for trainers that speak HTTP.

It is a client of the reward servers like any other (`trainer_client.AsyncRewardClient`), so that retries, replicas,
batching and versions are those of the client; here are only the shapes in which trainers ask. Single requests of many
callers travel together in batches. A failure of ours is never a score: what it becomes is stated
(`GatewayConfig.on_missing`).
"""

from reward_servers.gateway.app import create_app
from reward_servers.gateway.asked_servers import AskedServers
from reward_servers.gateway.serving import check_address, serve
from reward_servers.gateway.settings import GatewayConfig, load_gateway_config

__all__ = ["AskedServers", "GatewayConfig", "check_address", "create_app", "load_gateway_config", "serve"]
