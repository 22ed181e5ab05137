'use strict'
// A whole job in the free tier: which orders it needs, the orders, start, status, log, results.
const { attempt, get, run, text } = require('./ocean8.cjs')

const CHAIN_ID = 8996

run(async (ocean, input) => {
  const { ethers, lib, node, provider, signer } = ocean
  const { url, datasets, algorithm, feeToken, viewerKey } = input
  const [environment] = await provider.getComputeEnvironments(url)
  const resources = [{ id: 'cpu', amount: 0.25 }, { id: 'ram', amount: 0.125 }]
  const quote = () => provider.initializeCompute(
    datasets, algorithm, environment.id, feeToken, 30, url, ocean.account, resources, CHAIN_ID, undefined, undefined, 60
  )
  const quoted = await quote()
  for (const [position, item] of quoted.datasets.entries()) datasets[position].transferTxId = await ocean.order(item)
  if (quoted.algorithm.datatoken) algorithm.transferTxId = await ocean.order(quoted.algorithm)
  const ordered = await quote()

  const viewer = new ethers.Wallet(viewerKey, node)
  const metadata = { name: 'a job', runs: 1, good: true }
  const start = (who, ...rest) => provider.freeComputeStart(url, who, environment.id, datasets, algorithm, ...rest)
  const started = await start(signer, resources, metadata, [viewer.address], undefined, undefined, undefined, 60)
  const [{ jobId }] = started
  const log = await text(await provider.computeStreamableLogs(url, signer, jobId))
  const job = await ocean.until(jobId, ({ dateFinished }) => dateFinished)
  const bare = jobId.slice(jobId.lastIndexOf('-') + 1)
  const token = await provider.generateAuthToken(signer, url)
  const viewers = await provider.generateAuthToken(viewer, url)
  const results = []
  for (const { index, filename, type } of job.results)
    results.push({ index, filename, type, text: await text(await provider.getComputeResult(url, signer, jobId, index)) })
  const archive = results.find(({ filename }) => filename === 'outputs.tar')
  const link = await provider.getComputeResultUrl(url, signer, bare, archive.index)
  const withToken = async (given) => {
    const answer = await fetch(await provider.getComputeResultUrl(url, given, jobId, archive.index), { headers: { Authorization: given } })
    return { status: answer.status, length: (await answer.arrayBuffer()).byteLength }
  }
  return {
    environment, quoted, ordered, datasets, algorithm, started, job, log, results,
    account: ocean.account,
    viewer: viewer.address,
    byBareId: await ocean.status(bare),
    byAccount: await ocean.status(),
    byOrder: await ocean.status(jobId, datasets[0].transferTxId),
    byToken: await provider.computeStatus(url, token, jobId),
    links: [await get(link), await get(link)].map(({ status }) => status),
    rest: await text(await provider.getComputeResult(url, signer, jobId, archive.index, 512)),
    ownersToken: await withToken(token),
    viewersToken: await withToken(viewers),
    viewersSignature: (await get(await provider.getComputeResultUrl(url, viewer, jobId, archive.index))).status,
    strangers: (await get(await provider.getComputeResultUrl(url, new ethers.Wallet(input.strangerKey, node), jobId, archive.index))).status,
    viewersStop: await provider.computeStop(jobId, url, viewer),
    logByToken: await text(await provider.computeStreamableLogs(url, token, jobId)),
    tooMuch: await attempt(() => start(signer, [{ id: 'cpu', amount: 64 }])),
    unknown: await attempt(() => start(signer, [{ id: 'qubit', amount: 1 }])),
    output: await attempt(() => start(signer, resources, metadata, [], { encryption: { encryptMethod: 'AES', key: '00' } })),
    paid: await attempt(() => provider.computeStart(url, signer, environment.id, datasets, algorithm, 30, feeToken, resources, CHAIN_ID)),
    unordered: await attempt(() => provider.freeComputeStart(
      url, signer, environment.id, [{ ...datasets[0], transferTxId: `0x${'9'.repeat(64)}` }], algorithm
    ))
  }
})
