# GET /api/aquarius/chains/list: which chains' assets can be searched
curl --silent "$COVE_URL/api/aquarius/chains/list"
