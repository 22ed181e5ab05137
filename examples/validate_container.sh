# POST /api/services/validateContainer: whether a container section is complete
curl --silent "$COVE_URL/api/services/validateContainer" \
    --header 'Content-Type: application/json' \
    --data '{"entrypoint": "python3 $ALGO", "image": "python", "tag": "3.11",
             "checksum": "sha256:b3a3e7d5a1"}'
