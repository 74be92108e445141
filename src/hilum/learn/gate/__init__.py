"""The gate: pictures that must not be read, made and gathered; its fit, and how it is judged."""
