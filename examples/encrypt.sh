# POST /api/services/encrypt: a file list that this provider alone can read
curl --silent "$COVE_URL/api/services/encrypt?chainId=$CHAIN" \
    --header 'Content-Type: application/octet-stream' \
    --data-binary '{"files": [{"type": "url", "url": "https://example.org/table.csv", "method": "GET"}]}'
