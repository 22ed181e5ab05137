'use strict'
// A publisher whose metadata cache is the provider itself: publish, wait for the cache, change, wait again, search, withdraw.
const { attempt, run } = require('./common.cjs')

const CHAIN_ID = 8996
const NOBODY = '0x0000000000000000000000000000000000000000'

run(async ({ lib, provider, account, createNft, setMetadata, setState }, input) => {
  const cache = new lib.Aquarius(input.url)
  const wait = (did, tx) => (cache.waitForIndexer ? cache.waitForIndexer(did, tx, undefined, 200, 100) : cache.waitForAqua(did, tx))
  const [nft, datatoken] = await createNft(
    input.factory,
    { name: 'An NFT', symbol: 'NFT', templateIndex: 1, tokenURI: 'data:,uri', transferable: true, owner: account },
    { templateIndex: 1, cap: '100000', feeAmount: '0', paymentCollector: NOBODY, feeToken: NOBODY, minter: account,
      mpFeeAddress: NOBODY, name: 'A token', symbol: 'TKN' }
  )
  const files = { datatokenAddress: datatoken, nftAddress: nft, files: [{ type: 'url', url: input.file, method: 'GET' }] }
  const ddo = {
    '@context': ['https://w3id.org/did/v1'],
    id: lib.generateDid(nft, CHAIN_ID),
    version: '4.1.0',
    chainId: CHAIN_ID,
    nftAddress: nft,
    metadata: {
      created: '2024-05-01T00:00:00Z', updated: '2024-05-01T00:00:00Z', type: 'dataset', name: `Rain ${input.version}`,
      description: 'Rain, hour by hour', author: 'A publisher', license: 'none', tags: [`tag${input.version}`]
    },
    services: [{
      id: '0', type: 'access', files: await provider.encrypt(files, CHAIN_ID, input.url), datatokenAddress: datatoken,
      serviceEndpoint: input.url, timeout: 0
    }]
  }
  /** Check a document with the cache, and write it on chain, encrypted, with the proof. */
  const write = async (document) => {
    const checked = await cache.validate(document)
    const encrypted = await provider.encrypt(document, CHAIN_ID, input.url)
    const tx = await setMetadata(nft, 0, input.url, '', '0x02', encrypted, checked.hash, [checked.proof])
    return { checked, tx }
  }
  const first = await write(ddo)
  const published = await wait(ddo.id)
  const second = await write({ ...ddo, metadata: { ...ddo.metadata, name: `Snow ${input.version}` } })
  const updated = await wait(ddo.id, second.tx)
  const query = { query: { bool: { must: [{ match: { 'metadata.tags': `tag${input.version}` } }],
    filter: [{ term: { 'nft.owner': account.toLowerCase() } }] } }, sort: { 'nft.created': 'desc' }, size: 5 }
  const found = await cache.querySearch(query)
  const metadata = await cache.getAssetMetadata(ddo.id)
  await setState(nft, 3)
  const deadline = Date.now() + 30_000
  let hidden = await attempt(() => cache.resolve(ddo.id))
  while (!hidden.error && Date.now() < deadline) hidden = await attempt(() => cache.resolve(ddo.id))
  return {
    did: ddo.id, nft, datatoken, account, first, second, published, updated, found, metadata,
    hidden: hidden.error,
    invalid: await cache.validate({ ...ddo, metadata: {} }),
    refused: await attempt(() => cache.querySearch({ query: { script: {} } })),
    missing: await attempt(() => cache.resolve(`did:op:${'0'.repeat(64)}`))
  }
})
