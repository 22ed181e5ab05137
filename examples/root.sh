# GET /: what answers there, its account on each chain, and where its endpoints are (here: one of them)
curl --silent "$COVE_URL/" |
    python3 -c 'import json, sys
root = json.load(sys.stdin)
print(root["software"], root["version"])
print(root["providerAddresses"])
print("to start a job:", *root["serviceEndpoints"]["computeStart"])'
