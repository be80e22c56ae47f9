"""What is asked: recipes, their files, and the state of their methods."""
