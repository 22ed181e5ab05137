# POST /api/aquarius/assets/ddo/validate: whether a DDO could be read here once it is published
curl --silent "$COVE_URL/api/aquarius/assets/ddo/$DATASET" |
    curl --silent "$COVE_URL/api/aquarius/assets/ddo/validate" \
        --header 'Content-Type: application/octet-stream' --data-binary @- | python3 -m json.tool
