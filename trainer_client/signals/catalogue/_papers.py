"""The papers that the presets come from. A preset names its papers by their keys."""

from __future__ import annotations

from dataclasses import dataclass

from trainer_client.signals._registry import Certainty


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper.

    Attributes:
        key: short name, used by presets.
        title: as published.
        kind: what it contributes.
        certainty: the best source that was read.
        outside: why nothing of it belongs here; empty if something does.
    """

    key: str
    title: str
    kind: str
    certainty: Certainty
    outside: str = ""


def _p(key: str, title: str, kind: str, certainty: Certainty, outside: str = "") -> Paper:
    return Paper(key, title, kind, certainty, outside)


PAPERS: tuple[Paper, ...] = (
    _p(
        "tempsamp-r1",
        "TempSamp-R1: Effective Temporal Sampling with Reinforcement Fine-Tuning for Video LLMs",
        "shaping, guidance",
        "secondary",
    ),
    _p("g2rpo", "G2RPO: Granular GRPO for Precise Reward in Flow Models", "advantage", "secondary"),
    _p(
        "cobalt",
        "Bridging Online and Offline RL: Contextual Bandit Learning for Multi-Turn Code Generation (Cobalt)",
        "shaping, selection",
        "code",
    ),
    _p("hill", "Learning to Hint for Reinforcement Learning (HiLL)", "guidance, selection", "code"),
    _p(
        "information-consistency",
        "Information-Consistent Language Model Recommendations through GRPO",
        "shaping, cross-prompt",
        "secondary",
    ),
    _p(
        "c-grpo",
        "Chaining the Evidence: Robust RL for Deep Search Agents with Citation-Aware Rubric Rewards (CaRR, C-GRPO)",
        "combination",
        "code",
    ),
    _p(
        "rank-grpo",
        "Rank-GRPO: Training LLM-based Conversational Recommender Systems with RL",
        "credit",
        "code",
    ),
    _p(
        "vspo",
        "Enhancing Agentic RL with Progressive Reward Shaping and Value-based Sampling Policy Optimization (PRS, VSPO)",
        "shaping, selection",
        "secondary",
    ),
    _p("spo", "Single-stream Policy Optimization (SPO)", "advantage, selection", "code"),
    _p(
        "grpo-smu",
        "GRPO with State Mutations: Improving LLM-Based Hardware Test Plan Generation (GRPO-SMu)",
        "shaping, cross-prompt",
        "abstract",
    ),
    _p(
        "ospo",
        "Multi-Agent RL based on One-Step Policy Optimization for Order Dispatch (OSPO)",
        "advantage",
        "code",
    ),
    _p(
        "autorule",
        "AutoRule: Reasoning Chain-of-thought Extracted Rule-based Rewards Improve Preference Learning",
        "combination",
        "secondary",
    ),
    _p("bnpo", "BNPO: Beta Normalization Policy Optimization", "advantage", "code"),
    _p(
        "arise",
        "ARISE: Agent Reasoning with Intrinsic Skill Evolution in Hierarchical RL",
        "combination, guidance",
        "code",
    ),
    _p(
        "w-grpo",
        "Beyond Variance: Prompt-Efficient RLVR via Rare-Event Amplification and Bidirectional Pairing (W-GRPO)",
        "selection, advantage",
        "secondary",
    ),
    _p("format-length", "Surrogate Signals from Format and Length", "shaping", "code"),
    _p("grouprank", "GroupRank: A Groupwise Reranking Paradigm Driven by RL", "shaping", "paper"),
    _p("mc-grpo", "MC-GRPO: Median-Centered GRPO for Small-Rollout RL", "advantage, selection", "code"),
    _p(
        "posterior-grpo",
        "Posterior-GRPO: Rewarding Reasoning Processes in Code Generation",
        "combination, preference",
        "secondary",
    ),
    _p(
        "guide-grpo",
        "Adaptive Guidance Accelerates RL of Reasoning Models (Guide-GRPO)",
        "guidance, weights",
        "abstract",
    ),
    _p("pref-grpo", "Pref-GRPO: Pairwise Preference Reward-based GRPO", "combination, advantage", "code"),
    _p(
        "v0.5",
        "V0.5: Generalist Value Model as a Prior for Sparse RL Rollouts",
        "advantage, selection",
        "abstract",
    ),
    _p(
        "ps-grpo",
        "Improving Consistency in RAG Systems with Group Similarity Rewards (Con-RAG, PS-GRPO)",
        "cross-prompt",
        "secondary",
    ),
    _p("fgrpo", "Faithful GRPO (FGRPO)", "combination", "secondary"),
    _p("grpo-care", "GRPO-CARE: Consistency-Aware RL for Multimodal Reasoning", "shaping", "code"),
    _p(
        "faker-air",
        "Real-Time Long Horizon Air Quality Forecasting via GRPO (FAKER-Air)",
        "advantage, shaping",
        "code",
    ),
    _p("grit", "GRIT: Teaching MLLMs to Think with Images", "combination", "code"),
    _p(
        "mswep",
        "MSWEP V3: Machine Learning-Powered Global Precipitation Estimates",
        "out of domain",
        "abstract",
        "a precipitation data set from supervised models: no policy, no rollouts, no rewards",
    ),
    _p("s-grpo", "S-GRPO: Early Exit via RL in Reasoning Models", "shaping", "secondary"),
    _p("expo", "ExPO: Self-Explanation-Guided RL", "guidance, preference", "secondary"),
    _p(
        "job-application",
        "A Mathematical Framework for Custom Reward Functions in Job Application Evaluation using "
        "Reinforcement Learning",
        "combination",
        "abstract",
    ),
    _p(
        "length-curriculum",
        "Train Long, Think Short: Curriculum Learning for Efficient Reasoning",
        "shaping",
        "paper",
    ),
    _p(
        "grao",
        "Learning to Align, Aligning to Learn: A Unified Approach for Self-Optimized Alignment (GRAO)",
        "weights, guidance",
        "paper",
    ),
    _p(
        "stratified-grpo",
        "Stratified GRPO: Handling Structural Heterogeneity in Reinforcement Learning of LLM Search Agents",
        "advantage",
        "secondary",
    ),
    _p(
        "m-grpo",
        "Multi-Agent Deep Research: Training Multi-Agent Systems with M-GRPO",
        "advantage, combination",
        "paper",
    ),
    _p(
        "qurd",
        "Queries, Representation & Detection: The Next 100 Model Fingerprinting Schemes (QuRD)",
        "out of domain",
        "abstract",
        "detects stolen image classifiers; nothing is rewarded",
    ),
    _p(
        "bee",
        "BEE: Metric-Adapted Explanations via Baseline Exploration-Exploitation",
        "out of domain",
        "abstract",
        "attribution maps of vision models; its baseline is a missing input, not an RL baseline",
    ),
    _p("drpo", "DRPO: Efficient Reasoning via Decoupled Reward Policy Optimization", "weights", "code"),
    _p(
        "microcoder",
        "Breaking Training Bottlenecks: Effective and Stable Reinforcement Learning for Coding Models "
        "(MicroCoder-GRPO)",
        "advantage",
        "code",
    ),
    _p(
        "deepvideo-r1",
        "DeepVideo-R1: Video Reinforcement Fine-Tuning via Difficulty-aware Regressive GRPO",
        "weights, selection",
        "paper",
    ),
    _p(
        "rgr-grpo",
        "Reward and Guidance through Rubrics: Promoting Exploration to Improve Multi-Domain Reasoning (RGR-GRPO)",
        "combination, guidance",
        "abstract",
    ),
    _p(
        "gdpo",
        "GDPO: Group reward-Decoupled Normalization Policy Optimization for Multi-reward RL Optimization",
        "combination, advantage",
        "code",
    ),
    _p("v_0", "V_0: A Generalist Value Model for Any Policy at State Zero", "selection", "secondary"),
    _p(
        "algoperf",
        "Benchmarking Neural Network Training Algorithms (AlgoPerf)",
        "out of domain",
        "abstract",
        "a benchmark of optimisers",
    ),
    _p(
        "densegrpo",
        "DenseGRPO: From Sparse to Dense Reward for Flow Matching Model Alignment",
        "credit",
        "abstract",
    ),
    _p(
        "graph-grpo",
        "Graph-GRPO: Stabilizing Multi-Agent Topology Learning via Group Relative Policy Optimization",
        "credit",
        "abstract",
    ),
    _p("igrpo", "iGRPO: Self-Feedback-Driven LLM Reasoning", "guidance", "paper"),
    _p(
        "thinktuning",
        "ThinkTuning: Instilling Cognitive Reflections without Distillation",
        "guidance",
        "abstract",
    ),
    _p(
        "scaf-grpo",
        "Scaf-GRPO: Scaffolded Group Relative Policy Optimization for Enhancing LLM Reasoning",
        "guidance",
        "code",
    ),
    _p(
        "knapsack-rl",
        "Knapsack RL: Unlocking Exploration of LLMs via Optimizing Budget Allocation",
        "selection",
        "code",
    ),
    _p(
        "masa",
        "Meta-Awareness Enhances Reasoning Models: Self-Alignment Reinforcement Learning (MASA)",
        "shaping, selection",
        "code",
    ),
    _p("ngrpo", "NGRPO: Negative-enhanced Group Relative Policy Optimization", "advantage", "code"),
    _p(
        "tempo",
        "Exploiting Tree Structure for Credit Assignment in RL Training of LLMs (TEMPO)",
        "credit",
        "secondary",
    ),
    _p(
        "grpo-lambda",
        "Stable Reinforcement Learning for Efficient Reasoning (GRPO-lambda)",
        "shaping",
        "abstract",
    ),
    _p(
        "unlikeliness",
        "Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening",
        "shaping",
        "code",
    ),
    _p(
        "xrpo",
        "XRPO: Pushing the limits of GRPO with Targeted Exploration and Exploitation",
        "selection, advantage, guidance",
        "secondary",
    ),
    _p(
        "co-grpo",
        "Co-GRPO: Co-Optimized Group Relative Policy Optimization for Masked Diffusion Model",
        "out of domain",
        "abstract",
        "image diffusion and its schedule",
    ),
    _p(
        "pangaea",
        "PANGAEA: A Global and Inclusive Benchmark for Geospatial Foundation Models",
        "out of domain",
        "abstract",
        "an earth-observation benchmark",
    ),
    _p(
        "disco",
        "DisCO: Reinforcing Large Reasoning Models with Discriminative Constrained Optimization",
        "weights",
        "code",
    ),
    _p(
        "multi-objective-grpo",
        "Optimizing Safe and Aligned Language Generation: A Multi-Objective GRPO Approach",
        "combination",
        "abstract",
    ),
)
