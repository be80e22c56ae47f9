"""The HTTP face beside a FastAPI server as one writes it by hand."""
