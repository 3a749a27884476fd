"""What trains on the pairs of an IterDPO Studio: a client for its REST API, and `iterdpo train`.

Imports nothing of the application. client, studio, images and pulling need httpx alone; the rest
needs what `pip install "iterdpo-studio[train]"` brings.
"""
