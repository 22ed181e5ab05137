'use strict'
// A publisher: an asset checked, encrypted and written on chain, then found; and a file of it ordered and fetched.
const { createHash } = require('node:crypto')
const { attempt, get, run } = require('./ocean8.cjs')

const CHAIN_ID = 8996
const NOBODY = '0x0000000000000000000000000000000000000000'

run(async (ocean, input) => {
  const { ethers, lib, provider, signer, account } = ocean
  const { url } = input
  const cache = new lib.Aquarius(url)
  const factory = new lib.NftFactory(input.factory, signer, CHAIN_ID)
  const receipt = await (await factory.createNftWithDatatoken(
    { name: 'An NFT', symbol: 'NFT', templateIndex: 1, tokenURI: 'data:,uri', transferable: true, owner: account },
    { templateIndex: 1, cap: '100000', feeAmount: '0', paymentCollector: NOBODY, feeToken: NOBODY, minter: account,
      mpFeeAddress: NOBODY, name: 'A token', symbol: 'TKN' }
  )).wait()
  const [nft, datatoken] = ['NFTCreated', 'TokenCreated'].map((name) => lib.getEventFromTx(receipt, name).args.newTokenAddress)
  const files = { datatokenAddress: datatoken, nftAddress: nft, files: [{ type: 'url', url: input.file, method: 'GET' }] }
  const ddo = {
    '@context': ['https://w3id.org/did/v1'],
    id: `did:op:${createHash('sha256').update(ethers.getAddress(nft) + CHAIN_ID).digest('hex')}`,
    version: '4.1.0',
    chainId: CHAIN_ID,
    nftAddress: nft,
    metadata: {
      created: '2024-05-01T00:00:00Z', updated: '2024-05-01T00:00:00Z', type: 'dataset', name: 'Zürich rain',
      description: 'Rain, hour by hour', author: 'A publisher', license: 'none'
    },
    services: [{
      id: '0', type: 'access', files: await provider.encrypt(files, CHAIN_ID, url, signer), datatokenAddress: datatoken,
      serviceEndpoint: url, timeout: 0
    }]
  }
  const checked = await cache.validate(ddo, signer, url)
  const encrypted = await provider.encrypt(ddo, CHAIN_ID, url, signer)
  const written = await new lib.Nft(signer, CHAIN_ID).setMetadata(
    nft, account, 0, url, '', '0x02', encrypted, checked.hash, [checked.proof]
  )
  await written.wait()
  const published = await cache.waitForIndexer(ddo.id, undefined, undefined, 200, 100)
  await (await new lib.Datatoken(signer, CHAIN_ID).mint(datatoken, account, '1')).wait()
  const initialized = await provider.initialize(ddo.id, '0', 0, account, url)
  const tx = await ocean.order({ ...initialized, consumerAddress: account })
  const link = await provider.getDownloadUrl(ddo.id, '0', 0, tx, url, signer)
  const twice = [await get(link), await get(link)]
  const token = await provider.generateAuthToken(signer, url)
  const byToken = await fetch(await provider.getDownloadUrl(ddo.id, '0', 0, tx, url, token), { headers: { Authorization: token } })
  return {
    did: ddo.id, published, checked, initialized,
    file: twice[0],
    again: twice[1].status,
    byToken: await byToken.text(),
    invalid: await attempt(() => cache.validate({ ...ddo, metadata: {} }, signer, url))
  }
})
