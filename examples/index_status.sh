# GET /api/aquarius/chains/status/{chain}: how far a chain is indexed
curl --silent "$COVE_URL/api/aquarius/chains/status/8996"
