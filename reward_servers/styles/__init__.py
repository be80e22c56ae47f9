"""What was written for something else, as verifiers: reward functions of trainers, rubrics, scorers, graders.

Each style is a function that makes a verifier of an address, announced by the entry-point group ``assay.styles``:

    trl+my_rewards:accuracy                    a reward function of TRL
    trl+my_rewards:accuracy?range=-1..1        the same, with what it may give declared

The address is the name of the verifier, in recipes and on the command line alike. What a function raises, a reward
that is None or not a number, and one outside the declared range are faults; none of them is a score.
"""
