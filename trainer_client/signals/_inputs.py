"""The inputs that a batch may carry, declared once so that all methods share names and shapes.

A method that needs a new input adds a row to `INPUTS`; it never reads an array whose name is not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["float", "int", "bool", "ids", "rows"]


@dataclass(frozen=True, slots=True)
class Input:
    """What is known of an input.

    Attributes:
        name: keyword of `SignalBatch` and key of ``batch[...]``.
        axes: letters of its axes; equal letters mean equal lengths within a batch. ``N`` rollouts, ``T``
            token positions, ``K`` reward components, ``P`` prefixes, ``I`` items of a list, ``S`` signs of a reward
            (at least 0, below 0), ``E`` features, ``D`` and ``H`` dimensions of embeddings, ``M`` reward models, ``J``
            judges, ``C`` states, ``O`` orders of presentation. The empty string is one number for
            the whole batch.
        kind: ``float``, ``int``, ``bool``; ``ids`` (labels to group by); ``rows`` (a list with one object a
            row, where rows differ in length).
        meaning: one line for the docs.
        beside: name of the input that says which entries count; they may be NaN elsewhere.
    """

    name: str
    axes: str
    kind: Kind
    meaning: str
    beside: str = ""


_DECLARED = (
    Input("rewards", "N", "float", "reward of each rollout"),
    Input("groups", "N", "ids", "prompt that a rollout answers"),
    Input("components", "NK", "float", "rewards before they are summed, one column per reward", "components_valid"),
    Input("components_valid", "NK", "bool", "which components hold a verdict"),
    Input("lengths", "N", "int", "generated tokens"),
    Input("truncated", "N", "bool", "generation hit its limit before it ended"),
    Input("incorrect", "N", "bool", "a verdict says that the rollout is wrong; False where none was given"),
    Input("mask", "NT", "bool", "tokens that the policy generated; tool output and padding are False"),
    Input("token_rewards", "NT", "float", "reward at each token (KL penalty included, if any)"),
    Input("values", "NT", "float", "critic's value at each token"),
    Input("baselines", "N", "float", "reward of the greedy answer to the same prompt"),
    Input("old_logprobs", "NT", "float", "log-probability of each token under the sampling policy"),
    Input("logprobs", "NT", "float", "log-probability of each token under the present policy"),
    Input("ref_logprobs", "NT", "float", "log-probability of each token under the reference policy"),
    Input("sum_pi_squared", "NT", "float", "sum of squared next-token probabilities at each position"),
    Input("trajectories", "N", "ids", "trajectory that a row (a step) belongs to"),
    Input("anchors", "N", "ids", "state in which a row's step was taken"),
    Input("step_returns", "N", "float", "discounted return from a row's step on"),
    Input("trace_lengths", "N", "int", "tokens of the reasoning trace alone"),
    Input("format_scores", "N", "float", "share of the format asked for that a rollout keeps, 0 to 1"),
    Input("references", "N", "bool", "row is a reference answer, not a rollout"),
    Input("strata", "N", "ids", "structure of a rollout, such as its number of searches"),
    Input("subagent", "N", "bool", "row was written by a sub-agent within its trajectory"),
    Input("token_ids", "NT", "int", "token at each position"),
    Input("guided", "NT", "bool", "tokens that a teacher wrote"),
    Input("drafts", "N", "bool", "row is a draft to be refined"),
    Input("hint_levels", "N", "int", "hint that a row was generated with; 0 for none"),
    Input("hints", "N", "rows", "hints for a row's prompt: a list of tiers, each a list of texts"),
    Input("criterion_weights", "NK", "float", "weight of each criterion in a row's rubric; 0 where it has none"),
    Input("decisions", "N", "int", "decision of a rollout: 1 accept, 0 reject, -1 none that can be read"),
    Input("labels", "N", "int", "decision that would have been right: 1 accept, 0 reject"),
    Input("success_rates", "N", "float", "chance that a rollout for the row's prompt succeeds"),
    Input(
        "prefix_scores",
        "NP",
        "float",
        "score of a rollout's prefix after each step, the empty one first",
        "prefix_valid",
    ),
    Input("prefix_valid", "NP", "bool", "which prefixes exist and hold a score"),
    Input("steps", "NT", "int", "number of the step that a token belongs to, from 0; negative for none"),
    Input("features", "NE", "bool", "structural features that a rollout has (edges of a graph, tools used)"),
    Input("embeddings", "ND", "float", "embedding of a row's prompt"),
    Input("predictions", "N", "rows", "what a row predicts of its prompt's rollouts; None for an ordinary rollout"),
    Input("texts", "N", "rows", "text of each rollout"),
    Input("questions", "N", "rows", "text of each row's prompt"),
    Input("helped", "N", "bool", "row was written with help in the context (a hint, a skill, the answer) or is given"),
    Input("helped_logprobs", "NT", "float", "log-probability of each token with the help in the context"),
    Input("candidates", "N", "ids", "which hint or skill, of several tried for its prompt, a row was written with"),
    Input("reliance", "N", "float", "mean log-probability of a row's tokens without its hint less that with it"),
    Input("refused", "N", "bool", "hint of the row is unreadable, leaks the answer or is too long"),
    Input("skill_used", "N", "bool", "a skill of the library was in the row's context"),
    Input("previous_best", "N", "float", "best pass rate of the earlier turns of a row's conversation; 0 at the first"),
    Input("format_terms", "NS", "float", "format's share of the reward: where the rest is at least 0, and below"),
    Input("answered", "N", "bool", "row holds an answer of the form asked for"),
    Input("turn_scores", "N", "rows", "pass rate of each turn of a row's conversation, in order"),
    Input("variants", "N", "ids", "wording of the question that a row answers"),
    Input("similarity", "NN", "float", "similarity of a row (candidate) with another (reference)"),
    Input("token_lists", "N", "rows", "tokens of each rollout"),
    Input("rubric_rewards", "N", "float", "share of its rubric that a row fulfils"),
    Input("item_rewards", "NI", "float", "reward of each item of a row's list"),
    Input("item_of_token", "NT", "int", "items of the list that ended before a token; negative for none"),
    Input("eos", "NT", "bool", "token that ends the list"),
    Input("agents", "N", "ids", "agent whose decision a row is"),
    Input("times", "N", "int", "time of a row's decision"),
    Input("gaps", "N", "float", "how long a row's decision takes"),
    Input("penalties", "N", "float", "what is subtracted for unfairness at a row's decision"),
    Input("assigned", "N", "bool", "agent that got something to do at this step"),
    Input("cumulative", "N", "float", "return of a row's agent before this step"),
    Input("golden_passed", "N", "bool", "right implementation passes the row's tests"),
    Input("mutants", "N", "int", "wrong variants that the row's tests were run on"),
    Input("killed", "N", "int", "wrong variants that fail the row's tests"),
    Input("equivalents", "N", "int", "variants of the same behaviour that the row's tests were run on"),
    Input("equivalents_rejected", "N", "int", "variants of the same behaviour that fail the row's tests"),
    Input("pairings", "N", "ids", "pair of prompts that a row's prompt belongs to"),
    Input("accuracy", "N", "float", "reward of being right alone"),
    Input("answer_likelihood", "N", "float", "likelihood of the answer given the reasoning", "answer_found"),
    Input("answer_found", "N", "bool", "there is an answer to take the likelihood of"),
    Input("predicted_scores", "N", "rows", "score of each document by a row; None where it cannot be read"),
    Input("gold_scores", "N", "rows", "relevance of each document of a row's query"),
    Input("predicted_values", "N", "rows", "numbers that a row predicts"),
    Input("target_values", "N", "rows", "numbers that would have been right"),
    Input("prior_values", "N", "float", "expected reward of a row's prompt before sampling, 0 to 1"),
    Input("logprob_drift", "N", "float", "mean absolute change of the log-probabilities of the prompt's last answer"),
    Input("exit_order", "N", "int", "place of an exit on its reasoning path, early to late"),
    Input("comparisons", "N", "rows", "what a row won of each comparison: 1, 0, or 0.5 for a tie"),
    Input("dimension_comparisons", "N", "rows", "the same for each respect of a comparison: outcomes by its name"),
    Input("likelihood", "N", "float", "mean log-probability of a row's tokens given the question alone"),
    Input("lift", "N", "float", "log-probability of the answer after a row's reasoning less that after wrong ones"),
    Input("versions", "N", "int", "quality of a version of a text by construction: the higher, the better"),
    Input("dimensions", "N", "ids", "respect in which a version was changed"),
    Input("evidence_logprobs", "NT", "float", "log-probability of each token with the right answer in the context"),
    Input("counter_logprobs", "NT", "float", "log-probability of each token with a wrong answer in the context"),
    Input("masked_logprobs", "NT", "float", "log-probability of each token with the image (or evidence) spoiled"),
    Input("entropies", "NT", "float", "entropy of the policy's next-token distribution"),
    Input("query_embeddings", "NH", "float", "embedding of a row's query"),
    Input("rationale_embeddings", "NH", "float", "embedding of what the row wrote for the right document"),
    Input("negative_embeddings", "NH", "float", "embedding of what was written for a wrong document"),
    Input("behaviour", "N", "bool", "rollout shows the behaviour in question (a construction, a tool call)"),
    Input("bundles", "N", "ids", "bundle of prompts that a row's prompt belongs to"),
    Input("answers", "N", "ids", "class of equivalent answers that a row's answer belongs to"),
    Input("copied", "N", "bool", "answer mostly repeats the question"),
    Input("finished", "N", "bool", "row ended within this window of generation"),
    Input("window_starts", "N", "int", "first token that a row generated in this window"),
    Input("replayed", "N", "bool", "row of the previous step, sent again"),
    Input("previous_advantages", "N", "float", "advantage that a row had when it was first trained on"),
    Input("noisy", "N", "bool", "row's prompt was perturbed"),
    Input("reference_texts", "N", "rows", "text that a row ought to have written; None where there is none"),
    Input("calls_tool", "N", "bool", "what was asked for is a call of a tool"),
    Input("perplexities", "N", "float", "perplexity of a row's reference under the policy"),
    Input("defective", "N", "bool", "text has a defect that disqualifies it, such as heavy repetition"),
    Input("wins", "NN", "float", "probability that a row is judged better than another of its group, 0 to 1"),
    Input("model_scores", "NM", "float", "score of a row by each of several reward models"),
    Input("preferred", "N", "bool", "row is the preferred one of its pair"),
    Input("sampled_at", "N", "int", "step of the policy that wrote a row"),
    Input("expected_winners", "N", "rows", "which answer of a pair is labelled better"),
    Input("predicted_winners", "N", "rows", "which answer of a pair a rubric prefers"),
    Input("hits", "N", "rows", "facts that each of a row's calls returned: a list of ids a call"),
    Input("facts", "N", "rows", "ids of the facts that the answer to a row's prompt rests on"),
    Input("selected", "N", "rows", "ids of the evidence that a row selected"),
    Input("gold_evidence", "N", "rows", "ids of the evidence that matters; None where that is unknown"),
    Input("sufficient", "N", "bool", "row knew all that the answer needs"),
    Input("attempted", "N", "bool", "row gives an answer instead of a refusal"),
    Input("correct", "N", "bool", "row's answer is right"),
    Input("answerable", "N", "bool", "the document that answers the prompt exists"),
    Input("claims", "N", "int", "claims that a row makes"),
    Input("supported_claims", "N", "int", "claims of a row that its evidence supports"),
    Input("state_likelihoods", "NJC", "float", "likelihood of what was seen in each state, by each judge", "judged"),
    Input("judged", "NJC", "bool", "which judges gave a likelihood"),
    Input("verdict_gaps", "NO", "float", "p(supported) - p(refuted) of a claim, for each order of the arguments"),
    Input("rubric_versions", "N", "int", "version of the rubric that a row was scored by"),
    Input("demonstrated", "N", "bool", "a demonstration exists for the row's prompt"),
)

INPUTS: dict[str, Input] = {declared.name: declared for declared in _DECLARED}
