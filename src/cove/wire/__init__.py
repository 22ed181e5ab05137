"""The HTTP API as data: what is sent and answered, and the table of status numbers. Web and client share it.

Requests are parsed leniently where clients in the field differ (unknown fields are ignored, a nonce may be a number
or a text), and strictly where it matters; answers are complete. Names are those of the Ocean Provider API.
"""

from cove.wire.answers import (
    AttemptEntry,
    Environment,
    ErrorBody,
    FileInfo,
    Initialized,
    InitializedAccess,
    InitializedItem,
    NonceAnswer,
    ProviderFee,
    ResultEntry,
    Root,
    StatusObject,
    TokenAnswer,
    TokenDeleted,
)
from cove.wire.requests import (
    AccessRequest,
    AlgorithmMeta,
    AlgorithmRef,
    ComputePeriod,
    ContainerRef,
    DatasetRef,
    DecryptRequest,
    InitializeCompute,
    JobSelector,
    JsonObject,
    NumberText,
    ResultSelector,
    StartCompute,
    TokenRequest,
)
from cove.wire.statuses import API_PREFIX, SERVICE_ENDPOINTS, STATUS_TEXTS, status_of

__all__ = [
    "API_PREFIX",
    "SERVICE_ENDPOINTS",
    "STATUS_TEXTS",
    "AccessRequest",
    "AlgorithmMeta",
    "AlgorithmRef",
    "AttemptEntry",
    "ComputePeriod",
    "ContainerRef",
    "DatasetRef",
    "DecryptRequest",
    "Environment",
    "ErrorBody",
    "FileInfo",
    "InitializeCompute",
    "Initialized",
    "InitializedAccess",
    "InitializedItem",
    "JobSelector",
    "JsonObject",
    "NonceAnswer",
    "NumberText",
    "ProviderFee",
    "ResultEntry",
    "ResultSelector",
    "Root",
    "StartCompute",
    "StatusObject",
    "TokenAnswer",
    "TokenDeleted",
    "TokenRequest",
    "status_of",
]
