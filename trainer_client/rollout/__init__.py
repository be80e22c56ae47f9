"""What goes out: rollouts, the content of their messages, and files of them."""
