"""Old nodes of a saved graph become new nodes. Nothing else imports this folder."""
