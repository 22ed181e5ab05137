# GET /api/services/compute: how a job stands; sign the request (or cove.status(job, signed=True)) to get links too
curl --silent --get "$COVE_URL/api/services/compute" --data "jobId=$JOB" | python3 -m json.tool
