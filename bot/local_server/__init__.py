"""Servers that the processes of one machine share: one starts them, all use them."""
