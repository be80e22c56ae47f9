"""Code that runs behind the wall: launcher, zygote, init of a run, and the process that becomes the program.

It is executed by an interpreter of its own with an all but empty environment, imports the standard library only and
keeps that small, because every process of every run is a copy of it. Nothing here is imported by the server.
"""
