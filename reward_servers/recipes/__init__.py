"""What a recipe asks for, compared with what is there, before a server is started or a judge paid.

Nouns: an `Offer` is a verifier as it is installed here or as a running server hosts it; `Offers` finds the one that a
reward will get. `problems_of` lists what of a recipe cannot work with them, `check_recipe` refuses such a recipe, and
`layout_of` says what one means.
"""

from reward_servers.recipes.check import RequiredVerifier, check_recipe, problems_of
from reward_servers.recipes.layout import layout_of
from reward_servers.recipes.offers import NotOfferedError, Offer, Offers, find_modules_in

__all__ = [
    "NotOfferedError",
    "Offer",
    "Offers",
    "RequiredVerifier",
    "check_recipe",
    "find_modules_in",
    "layout_of",
    "problems_of",
]
