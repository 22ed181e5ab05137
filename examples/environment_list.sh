# GET /api/services/computeEnvironmentList: what a job can choose of each, and what is free
curl --silent "$COVE_URL/api/services/computeEnvironmentList" | python3 -m json.tool
