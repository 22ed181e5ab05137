"""The paths of the API, and the table of status numbers."""

from __future__ import annotations

from typing import Final

from cove.core.job import Job, Outcome, Phase

API_PREFIX: Final = "/api/services"
CACHE_PREFIX: Final = "/api/aquarius/assets"

CHAINS_PREFIX: Final = "/api/aquarius/chains"
"""Where a metadata cache says which chains it knows."""

SERVICE_ENDPOINTS: Final[dict[str, tuple[str, str]]] = {
    "nonce": ("GET", f"{API_PREFIX}/nonce"),
    "encrypt": ("POST", f"{API_PREFIX}/encrypt"),
    "decrypt": ("POST", f"{API_PREFIX}/decrypt"),
    "fileinfo": ("POST", f"{API_PREFIX}/fileinfo"),
    "initialize": ("GET", f"{API_PREFIX}/initialize"),
    "download": ("GET", f"{API_PREFIX}/download"),
    "initializeCompute": ("POST", f"{API_PREFIX}/initializeCompute"),
    "computeEnvironments": ("GET", f"{API_PREFIX}/computeEnvironments"),
    "computeStart": ("POST", f"{API_PREFIX}/compute"),
    "computeStatus": ("GET", f"{API_PREFIX}/compute"),
    "computeStop": ("PUT", f"{API_PREFIX}/compute"),
    "computeDelete": ("DELETE", f"{API_PREFIX}/compute"),
    "computeResult": ("GET", f"{API_PREFIX}/computeResult"),
    "computeLogs": ("GET", f"{API_PREFIX}/computeLogs"),
    "reviews": ("GET", f"{API_PREFIX}/reviews"),
    "reviewFile": ("GET", f"{API_PREFIX}/reviewFile"),
    "reviewVote": ("POST", f"{API_PREFIX}/reviewVote"),
    "validateContainer": ("POST", f"{API_PREFIX}/validateContainer"),
    "create_auth_token": ("GET", f"{API_PREFIX}/createAuthToken"),
    "delete_auth_token": ("DELETE", f"{API_PREFIX}/deleteAuthToken"),
    "computeEnvironmentList": ("GET", f"{API_PREFIX}/computeEnvironmentList"),
    "freeCompute": ("POST", f"{API_PREFIX}/freeCompute"),
    "computeStreamableLogs": ("GET", f"{API_PREFIX}/computeStreamableLogs"),
    "generateAuthToken": ("POST", f"{API_PREFIX}/auth/token"),
    "invalidateAuthToken": ("POST", f"{API_PREFIX}/auth/token/invalidate"),
}
"""What the root document lists; clients read their paths from there."""

NODE_ENDPOINTS: Final[dict[str, tuple[str, str]]] = {
    **SERVICE_ENDPOINTS,
    "computeEnvironments": SERVICE_ENDPOINTS["computeEnvironmentList"],
}
"""What it lists to clients of Ocean Node's API, who want the environments in another form."""

STATUS_TEXTS: Final[dict[int, str]] = {
    1: "Warming up",
    10: "Job started",
    20: "Configuring volumes",
    30: "Provisioning success",
    31: "Data provisioning failed",
    32: "Algorithm provisioning failed",
    40: "Running algorithm",
    50: "Filtering results",
    60: "Publishing results",
    70: "Job completed",
}
"""Status numbers and their texts, as documented."""

HELD_TEXT: Final = "Filtering results: waiting for the data owner's review"
"""Of status 50, while a person is to look at the results."""

_PHASE_STATUS: Final[dict[Phase, int]] = {
    Phase.ACCEPTED: 1,
    Phase.PROVISIONING: 20,
    Phase.SUBMITTING: 30,
    Phase.RUNNING: 40,
    Phase.FILTERING: 50,
    Phase.HELD: 50,
    Phase.PUBLISHING: 60,
    Phase.CLEANING: 60,
}

_FINAL_STATUS: Final[dict[str, int]] = {
    "data_unavailable": 31,
    "algorithm_unavailable": 32,
    "image_refused": 32,
    "image_pull": 32,
}

_REASONS: Final[dict[str, str]] = {
    "time_limit": "time limit",
    "out_of_memory": "out of memory",
    "no_space": "no space left at the provider",
    "queue_wait": "waited too long in the queue",
    "payment_lost": "its payment was taken back",
    "run_lost": "the provider lost the run",
}


def status_of(job: Job) -> tuple[int, str]:
    """Give a job's status number and text.

    The number 70 (and 31 and 32) means that nothing more will happen; the text then says how the job ended.
    """
    if job.phase is not Phase.DONE:
        number = _PHASE_STATUS[job.phase]
        if job.phase is Phase.HELD:
            return number, HELD_TEXT
        return number, STATUS_TEXTS[number]
    number = _FINAL_STATUS.get(job.reason, 70)
    if number != 70:  # noqa: PLR2004 - the number of the table above
        return number, STATUS_TEXTS[number]
    match job.outcome:
        case Outcome.SUCCEEDED | None:
            return number, STATUS_TEXTS[number]
        case Outcome.STOPPED:
            return number, "Job stopped"
        case Outcome.TIMED_OUT | Outcome.ALGORITHM_FAILED | Outcome.PROVIDER_FAILED:
            return number, f"Job failed: {_REASONS.get(job.reason, job.reason.replace('_', ' '))}"
