# POST /api/aquarius/assets/query: the newest two datasets with a word in their name (here: their names alone)
curl --silent "$COVE_URL/api/aquarius/assets/query" --header 'Content-Type: application/json' --data '{
  "query": {"bool": {
    "must": [{"query_string": {"query": "patient*", "fields": ["metadata.name^10", "metadata.tags"]}}],
    "filter": [{"term": {"metadata.type": "dataset"}}, {"terms": {"nft.state": [0, 4]}}]
  }},
  "sort": {"nft.created": "desc"},
  "size": 2
}' | python3 -c 'import json, sys
for hit in json.load(sys.stdin)["hits"]["hits"]:
    print(hit["_source"]["metadata"]["name"])'
