"""Workers: claim turns under a lease and run them."""
