# GET /health: whether it is up
curl --silent "$COVE_URL/health"
