"""Text to tree: lexer, cursor, the handlers of each notation, and the grammar's table of them."""
