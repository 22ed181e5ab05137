'use strict'
// What a user of the library sees when a request is refused.
const { attempt, get, run } = require('./common.cjs')

run(async (ocean, input) => {
  const { provider, account } = ocean
  const { url, dataset, algorithm, environment, otherJob } = input
  const unknown = `did:op:${'0'.repeat(64)}`
  const until = Math.floor(Date.now() / 1000) + 300
  const start = (changes, code = algorithm) => ocean.start(environment, { ...dataset, ...changes }, code)
  return {
    initializeUnknown: await attempt(() => provider.initialize(unknown, '0', 0, account, url)),
    quoteUnknown: await attempt(() =>
      provider.initializeCompute([{ documentId: unknown, serviceId: '0' }], algorithm, environment, until, url, account)
    ),
    quoteNoEnvironment: await attempt(() =>
      provider.initializeCompute([{ documentId: dataset.documentId, serviceId: '0' }], algorithm, 'nowhere', until, url, account)
    ),
    filesUnknown: await attempt(() => provider.checkDidFiles(unknown, '0', url)),
    startUnknown: await attempt(() => start({ documentId: unknown })),
    startNowhere: await attempt(() => ocean.start('nowhere', dataset, algorithm)),
    startNoOrder: await attempt(() => start({ transferTxId: `0x${'9'.repeat(64)}` })),
    startForeignOrder: await attempt(() => start({})),
    stopForeign: await ocean.stop(dataset.documentId, otherJob, dataset.transferTxId),
    deleteForeign: await ocean.remove(dataset.documentId, otherJob),
    statusForeign: await provider.computeStatus(url, account, otherJob),
    statusUnknown: await provider.computeStatus(url, account, '0'.repeat(32)),
    resultForeign: await get(await ocean.resultUrl(otherJob, 0)),
    resultForged: await get((await ocean.resultUrl(otherJob, 0)).replace(/signature=0x..../, 'signature=0x1234')),
    downloadForeign: await get(await ocean.downloadUrl(input.book, '0', 0, dataset.transferTxId))
  }
})
