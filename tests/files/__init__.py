"""Files in and out, whose kinds need libraries that the client alone does not."""
