'use strict'
// A job that would run for ever, its log while it runs, and its end.
const { run } = require('./ocean8.cjs')

run(async (ocean, input) => {
  const { provider, signer } = ocean
  const { url, dataset, algorithm, feeToken } = input
  const { datasets: [item] } = await provider.initializeCompute(
    [dataset], algorithm, 'default', feeToken, 30, url, ocean.account, [], 8996
  )
  dataset.transferTxId = await ocean.order(item)
  const token = await provider.generateAuthToken(signer, url)
  const [{ jobId }] = await provider.freeComputeStart(url, token, 'default', [dataset], algorithm)
  await ocean.until(jobId, ({ status }) => status === 40)
  const log = await provider.computeStreamableLogs(url, signer, jobId)
  let begun = ''
  for await (const part of log) {
    begun += Buffer.from(part).toString()
    if (begun.includes('\n')) break
  }
  const stopped = await provider.computeStop(jobId, url, signer)
  const job = await ocean.until(jobId, ({ dateFinished }) => dateFinished)
  const again = await provider.computeStop(jobId, url, token, dataset.transferTxId)
  return { jobId, begun, stopped, job, again }
})
