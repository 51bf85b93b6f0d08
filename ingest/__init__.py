"""The senses: one package per event source, each turning raw bytes into events."""
