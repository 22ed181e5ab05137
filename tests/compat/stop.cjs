'use strict'
// A job that would run for ever is stopped, then deleted.
const { run } = require('./common.cjs')

run(async (ocean, input) => {
  const { provider, account } = ocean
  const { url, dataset, algorithm, environment } = input
  const until = Math.floor(Date.now() / 1000) + 300
  const [quoted] = (await provider.initializeCompute([dataset], algorithm, environment, until, url, account)).datasets
  dataset.transferTxId = await ocean.order(quoted, account)
  const [{ jobId }] = await ocean.start(environment, dataset, algorithm)
  await ocean.until(jobId, ({ status }) => status === 40)
  const stopped = await ocean.stop(dataset.documentId, jobId, dataset.transferTxId)
  const { job } = await ocean.until(jobId, ({ dateFinished }) => dateFinished)
  const again = await ocean.stop(dataset.documentId, jobId, dataset.transferTxId)
  const deleted = await ocean.remove(dataset.documentId, jobId)
  const gone = await ocean.stop(dataset.documentId, jobId, dataset.transferTxId)
  return { jobId, stopped, job, again, deleted, gone }
})
