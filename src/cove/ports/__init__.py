"""What the house needs from the world, as Protocols. Their docstrings are what the contract suites test."""

from cove.ports.chains import Ledger, MetadataEvent, MetadataStore, NftFacts
from cove.ports.common import Clock, Finding
from cove.ports.engines import Collected, Engine, EnginePlace
from cove.ports.gates import Gate
from cove.ports.images import Image, ImageSource, ImageStore, Preparation
from cove.ports.indexing import Block, ChainReader, Cursor, IndexStore, Lag, Progress, Undo
from cove.ports.inspections import IndexedInput, InspectedFile, InspectionRequest, Inspector
from cove.ports.payments import Escrow, Mined, PaymentStore, SavePayment
from cove.ports.peers import Peers
from cove.ports.policies import Policies
from cove.ports.proofs import ProofCount, ProofSink, ProofStore, SaveProof
from cove.ports.reviews import Airlock, AuditStore, ReviewStore
from cove.ports.secrets import Vault
from cove.ports.sources import FileSource, Reader
from cove.ports.stores import (
    GrantStore,
    JobQuery,
    JobStore,
    Line,
    NonceStore,
    Restart,
    ResultStore,
    RunLimit,
    TokenStore,
)

__all__ = [
    "Airlock",
    "AuditStore",
    "Block",
    "ChainReader",
    "Clock",
    "Collected",
    "Cursor",
    "Engine",
    "EnginePlace",
    "Escrow",
    "FileSource",
    "Finding",
    "Gate",
    "GrantStore",
    "Image",
    "ImageSource",
    "ImageStore",
    "IndexStore",
    "IndexedInput",
    "InspectedFile",
    "InspectionRequest",
    "Inspector",
    "JobQuery",
    "JobStore",
    "Lag",
    "Ledger",
    "Line",
    "MetadataEvent",
    "MetadataStore",
    "Mined",
    "NftFacts",
    "NonceStore",
    "PaymentStore",
    "Peers",
    "Policies",
    "Preparation",
    "Progress",
    "ProofCount",
    "ProofSink",
    "ProofStore",
    "Reader",
    "Restart",
    "ResultStore",
    "ReviewStore",
    "RunLimit",
    "SavePayment",
    "SaveProof",
    "TokenStore",
    "Undo",
    "Vault",
]
