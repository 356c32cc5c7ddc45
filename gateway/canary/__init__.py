"""A client of the gateway's own: does what is published come back?"""
