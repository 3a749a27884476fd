"""The client for trainers and what training needs before a model is loaded."""
