# POST /api/aquarius/assets/ddo/validate: whether a DDO is as it should be, and a proof of that
curl --silent "$COVE_URL/api/aquarius/assets/ddo/$DATASET" |
    curl --silent "$COVE_URL/api/aquarius/assets/ddo/validate" \
        --header 'Content-Type: application/octet-stream' --data-binary @- | python3 -m json.tool
