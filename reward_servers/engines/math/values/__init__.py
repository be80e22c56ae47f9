"""Values of expressions: exact, modulo a prime, enclosed; and equality of two scalars."""
