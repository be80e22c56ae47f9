"""What comes back: outcomes, who gave them, and the tables that hold them."""
