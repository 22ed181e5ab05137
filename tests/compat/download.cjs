'use strict'
// An access service: quote, an order placed by ocean.js, download.
const { attempt, get, run } = require('./common.cjs')

run(async (ocean, input) => {
  const { lib, provider, account } = ocean
  const { url, did, serviceId } = input
  const initialized = await provider.initialize(did, serviceId, 0, account, url)
  const tx = await ocean.order(initialized, account)
  const link = await ocean.downloadUrl(did, serviceId, 0, tx)
  const file = await lib.downloadFile(link)
  const again = await get(link)
  const withData = await lib.downloadFile(await ocean.downloadUrl(did, serviceId, 0, tx, { city: 'Zürich' }))
  const withFee = await attempt(() =>
    provider.initialize(did, serviceId, 0, account, url, undefined, { city: 'x' }, undefined, Math.floor(Date.now() / 1000) + 60)
  )
  return {
    initialized,
    filename: file.filename,
    text: Buffer.from(file.data).toString(),
    withData: Buffer.from(withData.data).toString(),
    withFee,
    again
  }
})
