# GET /api/services/initialize: what an order of an access service must carry
curl --silent --get "$COVE_URL/api/services/initialize" \
    --data-urlencode "documentId=$TABLE" --data "serviceId=0" \
    --data "consumerAddress=$ACCOUNT" | python3 -m json.tool
