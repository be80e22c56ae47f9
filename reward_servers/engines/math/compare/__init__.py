"""An answer against a gold, kind by kind; comparators compare parts by the callable they are given."""
