"""The life of a process that serves: its parent, its end, its garbage collection and its event loop."""
