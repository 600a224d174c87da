"""The OpenAI API for files, fine-tuning, chat and embeddings, answered on this computer by simulated models.

``helpers.connect`` starts it for a lesson; ``python -m helpers.local_api`` runs it alone.
"""
