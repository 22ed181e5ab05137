'use strict'
// Everything that needs no order, and tokens.
const { attempt, run } = require('./ocean8.cjs')

/** Give a proof whose signed hash begins with a zero byte, which the library loses. */
async function shorter({ ethers, lib, signer, account }, last) {
  for (let nonce = last + 1; ; nonce++) {
    const text = `${account}${nonce}encrypt`
    if (!ethers.keccak256(ethers.toUtf8Bytes(text)).startsWith('0x00')) continue
    return { consumerAddress: account, nonce: String(nonce), signature: await lib.signRequest(signer, text) }
  }
}

run(async (ocean, input) => {
  const { lib, provider, signer, account } = ocean
  const { url } = input
  const first = await provider.getNonce(url, account)
  const encrypted = await provider.encrypt(input.secret, 8996, url, signer)
  const second = await provider.getNonce(url, account)
  const short = await provider.encrypt(input.secret, 8996, url, await shorter(ocean, second))
  const token = await provider.generateAuthToken(signer, url)
  const byToken = await provider.encrypt(input.secret, 8996, url, token)
  return {
    account,
    valid: await provider.isValidProvider(url),
    nonces: [first, second],
    encrypted,
    byToken,
    short,
    forged: await provider.encrypt(input.secret, 8996, url, { consumerAddress: account, nonce: '999999999', signature: `0x${'1'.repeat(130)}` }),
    didFiles: await provider.checkDidFiles(input.did, input.serviceId, url, true),
    fileInfo: await provider.getFileInfo({ type: 'url', url: input.fileUrl, method: 'GET' }, url, true),
    missingFile: await provider.getFileInfo({ type: 'url', url: `${input.fileUrl}.not`, method: 'GET' }, url),
    environments: await provider.getComputeEnvironments(url),
    jobs: await provider.getNodeJobs(url),
    document: await new lib.Aquarius(url).resolve(input.did),
    mine: await provider.computeStatus(url, token),
    taken: await provider.invalidateAuthToken(signer, token, url),
    after: await attempt(() => provider.computeStatus(url, token))
  }
})
