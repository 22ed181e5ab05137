'use strict'
// An order whose environment was not paid for: only the fee is paid anew, with reuseOrder.
const { run } = require('./common.cjs')

run(async (ocean, input) => {
  const { provider, account } = ocean
  const { url, datasets, algorithm, environment } = input
  const until = Math.floor(Date.now() / 1000) + 300
  const quote = async (wanted) => (await provider.initializeCompute(wanted, algorithm, environment, until, url, account)).datasets

  const free = (await quote(datasets)).at(-1) // the first carries the fee
  const dataset = { ...datasets.at(-1), transferTxId: await ocean.order(free, account) }
  const [unpaid] = await quote([dataset])
  const paid = { ...dataset, transferTxId: await ocean.order(unpaid, account) }
  const [started] = await ocean.start(environment, paid, algorithm)
  const { job } = await ocean.until(started.jobId, ({ dateFinished }) => dateFinished)
  return { free, dataset, unpaid, paid, job }
})
