"""Audit: does a reader read lungs, or does it know where the film comes from?"""
