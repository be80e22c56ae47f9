"""Reward servers as actors of a Ray cluster: ``python deploy/ray/actors.py`` with assay[math,format,ray] on the nodes.

They stay when this program has ended; ``reward_servers.ray.stop("math")`` drains and ends them.
"""

from __future__ import annotations

import ray

from reward_servers.ray import Servers

if __name__ == "__main__":
    ray.init(address="auto")
    servers = Servers("math", ["math", "format"], replicas=4, workers=4, detached=True)
    print(f'RewardClient(recipe, {{"math": "{servers.endpoint}"}}) reaches {", ".join(servers.addresses)}')
