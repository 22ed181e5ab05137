# GET /api/aquarius/assets/metadata/{did}: what an asset's publisher says of it (here: name and license)
curl --silent "$COVE_URL/api/aquarius/assets/metadata/$DATASET" |
    python3 -c 'import json, sys
said = json.load(sys.stdin)
print(said["name"], said["license"])'
