"""An encoder small enough to see through, for the recipe of GRACE."""
