'use strict'
// ocean.js 8 over HTTP. Every call below is the library's own; only arguments are placed.
const { createRequire } = require('node:module')
const { attempt, get } = require('./common.cjs')

const CHAIN_ID = 8996
const POLL_MS = 100
const PATIENCE_MS = 60_000

const lib = require('ocean-8.6.2')
const { ethers } = createRequire(require.resolve('ocean-8.6.2'))('ethers')

function client(input) {
  lib.LoggerInstance.setLevel(lib.LogLevel.Error)
  const node = new ethers.JsonRpcProvider(input.rpc, CHAIN_ID, { staticNetwork: true, pollingInterval: POLL_MS, cacheTimeout: -1 })
  const signer = new ethers.Wallet(input.key, node)
  const provider = lib.ProviderInstance
  const { url } = input
  const status = async (...rest) => provider.computeStatus(url, signer, ...rest)
  return {
    lib,
    ethers,
    node,
    signer,
    provider,
    account: signer.address,
    status,
    /** Do on chain what an item of an initialize call asks for. Gives the transaction's id. */
    order: async ({ datatoken, validOrder, providerFee: fee, consumerAddress }) => {
      if (validOrder) return validOrder
      const sent = await new lib.Datatoken(signer, CHAIN_ID).startOrder(datatoken, consumerAddress, 0, fee)
      await sent.wait()
      return sent.hash
    },
    /** Ask for a job's status until it holds. */
    until: async (jobId, holds) => {
      const deadline = Date.now() + PATIENCE_MS
      for (;;) {
        const [job] = await status(jobId)
        if (holds(job)) return job
        if (Date.now() > deadline) throw new Error(`status ${job.status} after ${PATIENCE_MS} ms`)
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    }
  }
}

/** Read what the library gives as a stream, to its end. */
async function text(stream) {
  const parts = []
  for await (const part of stream) parts.push(Buffer.from(part))
  return Buffer.concat(parts).toString('latin1')
}

/** Run a scenario: its input is the JSON in the first argument, its answer the JSON on standard output. */
function run(scenario) {
  const input = JSON.parse(process.argv[2])
  scenario(client(input), input).then(
    (answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0)),
    (problem) => process.stderr.write(`${problem.stack}\n`, () => process.exit(1))
  )
}

module.exports = { attempt, get, run, text }
