"""What the house needs from the world, as Protocols. Their docstrings are what the contract suites test."""

from cove.ports.chains import Ledger, MetadataEvent, MetadataStore, NftFacts
from cove.ports.common import Clock, Finding
from cove.ports.engines import Collected, Engine, EnginePlace
from cove.ports.gates import Gate
from cove.ports.images import Image, ImageSource, ImageStore, Preparation
from cove.ports.peers import Peers
from cove.ports.proofs import ProofCount, ProofSink, ProofStore, SaveProof
from cove.ports.secrets import Vault
from cove.ports.sources import FileSource, Reader
from cove.ports.stores import JobQuery, JobStore, Line, NonceStore, ResultStore, TokenStore

__all__ = [
    "Clock",
    "Collected",
    "Engine",
    "EnginePlace",
    "FileSource",
    "Finding",
    "Gate",
    "Image",
    "ImageSource",
    "ImageStore",
    "JobQuery",
    "JobStore",
    "Ledger",
    "Line",
    "MetadataEvent",
    "MetadataStore",
    "NftFacts",
    "NonceStore",
    "Peers",
    "Preparation",
    "ProofCount",
    "ProofSink",
    "ProofStore",
    "Reader",
    "ResultStore",
    "SaveProof",
    "TokenStore",
    "Vault",
]
