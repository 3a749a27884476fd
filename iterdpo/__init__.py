"""What trains on the pairs of an IterDPO Studio: a client for its REST API, and `iterdpo train`.

    from iterdpo import load_pairs, stream_pairs

Imports nothing of the application. These two, and client, studio, images and pulling, need httpx
alone (load_pairs, when it is called, datasets); the rest needs what
`pip install "iterdpo-studio[train]"` brings.
"""

from iterdpo.client import load_pairs, stream_pairs

__all__ = ["load_pairs", "stream_pairs"]
