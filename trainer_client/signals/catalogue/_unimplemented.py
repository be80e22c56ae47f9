"""Papers that no method's file declares, and why."""

from __future__ import annotations

from trainer_client.signals._method import Paper

UNIMPLEMENTED = (
    Paper(
        "mswep",
        "MSWEP V3: Machine Learning-Powered Global Precipitation Estimates",
        "abstract",
        outside="a precipitation data set from supervised models: no policy, no rollouts, no rewards",
    ),
    Paper(
        "qurd",
        "Queries, Representation & Detection: The Next 100 Model Fingerprinting Schemes (QuRD)",
        "abstract",
        outside="detects stolen image classifiers; nothing is rewarded",
    ),
    Paper(
        "bee",
        "BEE: Metric-Adapted Explanations via Baseline Exploration-Exploitation",
        "abstract",
        outside="attribution maps of vision models; its baseline is a missing input, not an RL baseline",
    ),
    Paper(
        "algoperf",
        "Benchmarking Neural Network Training Algorithms (AlgoPerf)",
        "abstract",
        outside="a benchmark of optimisers",
    ),
    Paper(
        "co-grpo",
        "Co-GRPO: Co-Optimized Group Relative Policy Optimization for Masked Diffusion Model",
        "abstract",
        outside="image diffusion and its schedule",
    ),
    Paper(
        "pangaea",
        "PANGAEA: A Global and Inclusive Benchmark for Geospatial Foundation Models",
        "abstract",
        outside="an earth-observation benchmark",
    ),
    Paper(
        "contrastive-ucb",
        "Provably Efficient Contrastive Self-Supervised Learning in Online RL (Contrastive UCB)",
        "code",
        outside="feature learning for low-rank decision processes in Atari",
    ),
    Paper(
        "sepclr",
        "Separating common from salient patterns with Contrastive Representation Learning (SepCLR)",
        "abstract",
        outside="representation learning on medical images; no reward, preference or rollout",
    ),
    Paper(
        "mclrec",
        "Meta-optimized Contrastive Learning for Sequential Recommendation (MCLRec)",
        "abstract",
        outside="augmentation for recommender sequence encoders",
    ),
    Paper("intelliask", "IntelliAsk (IntelliReward)", "code", names=("IntelliReward",)),
)
