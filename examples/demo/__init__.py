"""The main job, end to end: servers in their own processes, rollouts scored, advantages made."""
