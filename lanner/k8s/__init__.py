"""What Lanner asks of the API server it watches: audit policies for rules, and the webhook's kubeconfig."""
