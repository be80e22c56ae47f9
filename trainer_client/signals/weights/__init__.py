"""What a loss needs of the batch: factors of rows, tokens and pairs.

Each module without a leading underscore is the file of a method and is found by being here.
"""
