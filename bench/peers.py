"""All peers: importing this enters them, in the order of the report."""

from __future__ import annotations

import bench.peers_image
import bench.peers_network
import bench.peers_plain  # noqa: F401
from bench.contender import PEERS


def installed() -> list[str]:
    """Give the names of the peers whose library is here."""
    return [name for name, peer in PEERS.items() if peer.version() is not None]
