"""What comes back: outcomes, who gave them, and the tables that are made of them."""
