# GET /api/services/nonce: the last nonce of your account
curl --silent --get "$COVE_URL/api/services/nonce" --data-urlencode "userAddress=$ACCOUNT"
