"""Compare: variants of a recipe, each judged on collections that it never saw.

``grid`` says what is compared, ``prepare`` gathers the films once for all, ``run`` is one
training, ``pool`` does many side by side, ``join`` puts predictions together, ``judge`` makes the
rows of the table, ``write`` the files.
"""
