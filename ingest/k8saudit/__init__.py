"""Kubernetes audit: events, fields, files and the webhook."""
