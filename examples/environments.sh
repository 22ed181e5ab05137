# GET /api/services/computeEnvironments: where a job may run, what that costs, and how busy it is
curl --silent "$COVE_URL/api/services/computeEnvironments" | python3 -m json.tool
