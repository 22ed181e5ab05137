# POST /api/services/fileinfo: what can be told of a service's files before they are bought
curl --silent "$COVE_URL/api/services/fileinfo" \
    --header 'Content-Type: application/json' \
    --data "{\"did\": \"$TABLE\", \"serviceId\": \"0\", \"checksum\": true}" | python3 -m json.tool
