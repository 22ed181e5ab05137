"""The reasons that a refused request can get, for the documents: code by code, and which endpoints give which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cove.core.policygate import HINTS

Reasons = Mapping[str, str]

_FILE_UNAVAILABLE: Final = "the file (of an algorithm: one of its files) cannot be had from its source now"

CONTAINER: Final[Reasons] = {
    "missing_entrypoint_image_checksum": "the container section must have entrypoint, image and checksum",
    "checksum_prefix": "the checksum must be sha256: and the image's digest",
    "image_invalid": "the image is no name as registries use it",
    "tag_invalid": "a tag has letters, digits, point, dash and underscore",
    "entrypoint_invalid": "the entrypoint is too long, or has control characters",
}

_ASSET: Final[Reasons] = {
    "did_not_found": "no such asset is published on a chain that is served here",
    "not_found": "the asset has no service of this id",
    "asset_end_of_life": "the asset has come to the end of its life, says its owner",
    "asset_deprecated": "its owner wants the asset not to be used any more",
    "asset_revoked": "its owner has taken the asset back",
    "asset_ordering_disabled": "its owner has ended the orders of the asset",
    "credential_not_in_allow_list": "its owner lists who may use the asset, and the account is not among them",
    "credential_in_deny_list": "its owner has shut the account out",
    "service_not_access_compute": "the service is of another type than is needed here",
}

_ORDER: Final[Reasons] = {
    "order_invalid": "the transaction is no good order of this service by this account; the hint says why",
    "fees_not_paid": "the order carries no fee of this provider, or its paid period has ended",
}

ACCESS: Final[Reasons] = {
    **_ASSET,
    "compute_service": "the service is for jobs: use initializeCompute, and start one",
    "files_unusable": "the service's file list is not this provider's, or not this asset's",
    "out_of_range": "the service has no file of this index",
    "file_unavailable": _FILE_UNAVAILABLE,
}

DOWNLOAD: Final[Reasons] = {
    **ACCESS,
    **_ORDER,
    "own_account": "the provider gives no files to its own account, with which it fetches from others",
}

FILES: Final[Reasons] = {"did_not_found": _ASSET["did_not_found"]}

POLICY: Final[Reasons] = {code: text[0].lower() + text[1:].rstrip(".") for code, text in HINTS.items()}

TIER: Final[Reasons] = {
    "not_free": "the environment has no free tier",
    "payment_not_offered": "the environment takes no payments in this token; the list of environments says in which",
    "payment_refused": "the tokens cannot be locked; the hint says what the account must deposit or authorize",
    "resource_unknown": "the environment has nothing of this id to choose",
    "resource_out_of_range": "the job wants more of something than the environment gives to one",
}

_JOB: Final[Reasons] = {
    "Compute environment does not exist": "computeEnvironments lists those that do",
    "consumer_not_allowed": "the environment is for listed accounts, and holders of tokens",
    "image_not_allowed": "the environment does not run the algorithm's image; the hint says what it runs",
    **_ASSET,
    "missing": "the field is needed",
    "main_service_compute": "the first dataset's service must be a compute service",
    "compute_services_not_in_same_provider": "a file list is not its asset's, or is wrongly another provider's",
    "service_endpoint_invalid": "the service is at another provider, and its serviceEndpoint is no URL of one",
    "services_at_several_providers": "the asset has access services at several other providers",
    "too_many_providers": "too many of the services are at other providers",
    "missing_meta_documentId": "the algorithm has neither documentId nor meta",
    "meta_oneof_url_rawcode_remote": "algorithm.meta has neither rawcode nor url",
    "not_algo": "the asset is no algorithm",
    "file_unavailable": _FILE_UNAVAILABLE,
    **CONTAINER,
    "no_raw_algo_allowed": "a dataset's owner wants published algorithms alone",
    "not_trusted_algo": "a dataset's owner trusts other algorithms",
    "not_trusted_algo_publisher": "a dataset's owner trusts other publishers",
    "no_publisherTrustedAlgorithms": "a dataset's list of trusted algorithms has no DIDs",
    "algorithm_file_checksum_mismatch": "the algorithm's files are not those that a dataset's owner approved",
    "algorithm_container_checksum_mismatch": "its container is not the one that a dataset's owner approved",
    **POLICY,
    "no_sample": "a dataset's owner gives no synthetic sample, so that there are no mock runs on it",
    "mock_elsewhere": "a service is at another provider, and no mock run can use it",
}

QUOTE: Final[Reasons] = {
    **_JOB,
    "The validUntil value is not correct.": "it lies in the past, or more than a day beyond the longest run",
    **TIER,
    "provider_unavailable": "the other provider that a service is at does not answer, or refuses",
}

START: Final[Reasons] = {
    **_JOB,
    **_ORDER,
    **TIER,
    "in_use": "the order pays for a job that has not ended",
    "grant_spent": "the grant pays for no further run, or was taken back",
    "running": "the job that is to run again has not ended",
    "no_mock_runs": "the environment runs no mock jobs",
    "mock_output": "the results of a mock run go nowhere else",
    "is_mock": "the job is a mock run, and stays one",
    "is_not_mock": "the job is no mock run, and becomes none",
    "publishing_not_allowed": "the provider publishes no results as assets, or not those of this account",
    "sending_not_allowed": "the provider sends results to no storage of consumers",
    "too_many": "there are too many environment variables",
    "name_invalid": "an environment variable's name has other characters than letters, digits and underscore",
    "reserved": "an environment variable would steer the service or an interpreter",
    "value_invalid": "an environment variable's value is too long, or no text",
}

REVIEW: Final[Reasons] = {
    "changed": "the file is not the one that was looked at",
    "closed": "the review is closed: what was decided stands",
    "decided": "the file is decided already",
}

ALL: Final[Reasons] = {**ACCESS, **DOWNLOAD, **QUOTE, **START, **REVIEW}
