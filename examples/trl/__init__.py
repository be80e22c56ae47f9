"""GRPO with TRL on a toy task, rewards from servers in other processes; minutes on two cores, nothing downloaded."""
