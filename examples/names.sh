# POST /api/aquarius/assets/names: how assets are called
curl --silent "$COVE_URL/api/aquarius/assets/names" \
    --header 'Content-Type: application/json' --data "{\"didList\": [\"$DATASET\"]}"
