'use strict'
// A whole job: quote, orders placed by ocean.js, start, status, results, delete.
const { get, run } = require('./common.cjs')

run(async (ocean, input) => {
  const { provider, account } = ocean
  const { url, datasets, algorithm } = input
  const environments = await provider.getComputeEnvironments(url)
  const environment = (environments[8996] || environments)[0]
  const until = Math.floor(Date.now() / 1000) + 300
  const quote = () => provider.initializeCompute(datasets, algorithm, environment.id, until, url, account)

  const quoted = await quote()
  for (const [position, item] of quoted.datasets.entries())
    datasets[position].transferTxId = await ocean.order(item, environment.consumerAddress)
  if (quoted.algorithm) algorithm.transferTxId = await ocean.order(quoted.algorithm, environment.consumerAddress)
  const ordered = await quote()

  const [first, ...others] = datasets
  const started = await ocean.start(environment.id, first, algorithm, null, others.length ? others : undefined)
  const [{ jobId, agreementId }] = started
  const { job, seen } = await ocean.until(jobId, ({ dateFinished }) => dateFinished)
  // The last argument is a DID up to 3.2, and the order's transaction from 3.3 on.
  const document = input.version === '3.4.6' ? agreementId : first.documentId
  const byAccount = await provider.computeStatus(url, account)
  const byDocument = await provider.computeStatus(url, account, undefined, document)
  const byBoth = await provider.computeStatus(url, account, jobId, document)

  // A market lists by address, and offers what it finds there by the index and name that stand in the list.
  const mine = byAccount.find((entry) => entry.agreementId === agreementId)
  const listed = []
  for (const { index, filename, type } of mine.results)
    listed.push({ filename, type, ...(await get(await ocean.resultUrl(mine.jobId, index))) })
  const results = []
  for (const { index, filename, type } of job.results)
    results.push({ filename, type, ...(await get(await ocean.resultUrl(jobId, index))) })
  const link = await ocean.resultUrl(jobId, 0)
  const twice = [await get(link), await get(link)]
  const deleted = await ocean.remove(first.documentId, jobId)
  const after = await provider.computeStatus(url, account, jobId)
  return { quoted, ordered, datasets, algorithm, started, seen, job, byAccount, byDocument, byBoth, listed, results, twice, deleted, after }
})
