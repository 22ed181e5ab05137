# GET /api/aquarius/assets/ddo/{did}: what an asset offers (here: its services alone)
curl --silent "$COVE_URL/api/aquarius/assets/ddo/$DATASET" |
    python3 -c 'import json, sys
for service in json.load(sys.stdin)["services"]:
    print(service["id"], service["type"], service["timeout"], service["datatokenAddress"])'
