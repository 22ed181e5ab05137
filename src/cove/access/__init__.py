"""Encrypting, decrypting and looking at files for those who may."""
