'use strict'
// One face over ocean.js 2.x (web3) and 3.x (ethers). Every call below is the library's own; only arguments are placed.

const CHAIN_ID = 8996
const POLL_MS = 100
const PATIENCE_MS = 60_000

/** What the library wrote with console.error: computeStart says its reasons there only. */
const said = []
console.error = (...parts) => said.push(parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' '))
console.warn = console.log = () => undefined

/** Make a client of the version that the input names. */
function client(input) {
  const lib = require(`ocean-${input.version}`)
  lib.LoggerInstance.setLevel(lib.LogLevel.Error)
  const face = input.version.startsWith('2.') ? overWeb3(lib, input) : overEthers(lib, input)
  const provider = lib.ProviderInstance
  const url = input.url
  return {
    ...face,
    lib,
    provider,
    /**
     * Do on chain what an item of an initialize call asks for, as the library's guide does: nothing where its order is
     * good, a new fee for an order that is good, or an order. Gives the transaction's id.
     */
    order: async ({ datatoken, validOrder, providerFee: fee }, consumer) => {
      if (!fee) return validOrder
      if (BigInt(fee.providerFeeAmount) > 0n) await face.allow(fee.providerFeeToken, datatoken, fee.providerFeeAmount)
      return validOrder ? face.reuseOrder(datatoken, validOrder, fee) : face.startOrder(datatoken, consumer, 0, fee)
    },
    /** Ask for a job's status, as front ends do, until it holds. */
    until: async (jobId, holds) => {
      const deadline = Date.now() + PATIENCE_MS
      const seen = []
      for (;;) {
        const [job] = await provider.computeStatus(url, face.account, jobId)
        if (seen.at(-1) !== job.status) seen.push(job.status)
        if (holds(job)) return { job, seen }
        if (Date.now() > deadline) throw new Error(`status ${job.status} after ${PATIENCE_MS} ms`)
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    }
  }
}

function overEthers(lib, input) {
  const { ethers } = require('ethers')
  const node = new ethers.providers.StaticJsonRpcProvider(input.rpc, CHAIN_ID)
  node.pollingInterval = POLL_MS
  const signer = new ethers.Wallet(input.key, node)
  const account = signer.address
  const config = new lib.ConfigHelper().getConfig(CHAIN_ID)
  const provider = lib.ProviderInstance
  const { url } = input
  return {
    account,
    allow: async (token, spender, amount) => (await lib.approveWei(signer, config, account, token, spender, amount, true)).wait(),
    startOrder: async (datatoken, consumer, index, fee) => {
      const sent = await new lib.Datatoken(signer, CHAIN_ID).startOrder(datatoken, consumer, index, fee)
      await sent.wait()
      return sent.hash
    },
    createNft: async (factory, nft, datatoken) => {
      const sent = await new lib.NftFactory(factory, signer, CHAIN_ID).createNftWithDatatoken(nft, datatoken)
      const receipt = await sent.wait()
      return ['NFTCreated', 'TokenCreated'].map((name) => lib.getEventFromTx(receipt, name).args.newTokenAddress)
    },
    setMetadata: async (nft, ...rest) => (await (await new lib.Nft(signer, CHAIN_ID).setMetadata(nft, account, ...rest)).wait()).transactionHash,
    setState: async (nft, state) => (await new lib.Nft(signer, CHAIN_ID).setMetadataState(nft, account, state)).wait(),
    reuseOrder: async (datatoken, tx, fee) => {
      const sent = await new lib.Datatoken(signer, CHAIN_ID).reuseOrder(datatoken, tx, fee)
      await sent.wait()
      return sent.hash
    },
    start: (...rest) => provider.computeStart(url, signer, ...rest),
    // From 3.3 on the order's transaction stands before the abort signal.
    stop: (did, jobId, tx) => provider.computeStop(did, account, jobId, url, signer, ...(provider.computeStop.length > 6 ? [tx] : [])),
    remove: (did, jobId) => provider.computeDelete(did, signer, jobId, url),
    resultUrl: (jobId, index) => provider.getComputeResultUrl(url, signer, jobId, index),
    downloadUrl: (did, service, index, tx, data) => provider.getDownloadUrl(did, service, index, tx, url, signer, data)
  }
}

function overWeb3(lib, input) {
  const Web3 = require('web3')
  const web3 = new Web3(input.rpc) // the chain's node holds the account's key
  web3.eth.transactionPollingInterval = POLL_MS
  const account = web3.eth.accounts.privateKeyToAccount(input.key).address
  const config = new lib.ConfigHelper().getConfig(CHAIN_ID)
  const provider = lib.ProviderInstance
  const { url } = input
  return {
    account,
    allow: (token, spender, amount) => lib.approveWei(web3, config, account, token, spender, amount, true),
    startOrder: async (datatoken, consumer, index, fee) =>
      (await new lib.Datatoken(web3, CHAIN_ID).startOrder(datatoken, account, consumer, index, fee)).transactionHash,
    createNft: async (factory, nft, datatoken) => {
      const receipt = await new lib.NftFactory(factory, web3, CHAIN_ID).createNftWithDatatoken(account, nft, datatoken)
      return ['NFTCreated', 'TokenCreated'].map((name) => receipt.events[name].returnValues.newTokenAddress)
    },
    setMetadata: async (nft, ...rest) => (await new lib.Nft(web3, CHAIN_ID).setMetadata(nft, account, ...rest)).transactionHash,
    setState: (nft, state) => new lib.Nft(web3, CHAIN_ID).setMetadataState(nft, account, state),
    reuseOrder: async (datatoken, tx, fee) =>
      (await new lib.Datatoken(web3, CHAIN_ID).reuseOrder(datatoken, account, tx, fee)).transactionHash,
    start: (...rest) => provider.computeStart(url, web3, account, ...rest),
    stop: (did, jobId) => provider.computeStop(did, account, jobId, url, web3),
    remove: (did, jobId) => provider.computeDelete(did, account, jobId, url, web3),
    resultUrl: (jobId, index) => provider.getComputeResultUrl(url, web3, account, jobId, index),
    downloadUrl: (did, service, index, tx, data) => provider.getDownloadUrl(did, account, service, index, tx, url, web3, data)
  }
}

/** Say how a call ended: its value, or the text of what it threw; and what the library logged meanwhile. */
async function attempt(call) {
  const before = said.length
  try {
    const value = await call()
    return { value: value === undefined ? null : value, said: said.slice(before) }
  } catch (problem) {
    return { error: problem.message, said: said.slice(before) }
  }
}

/** Fetch a URL and give what matters of the answer. */
async function get(url) {
  const answer = await fetch(url)
  return { status: answer.status, disposition: answer.headers.get('content-disposition'), text: await answer.text() }
}

/** Run a scenario: its input is the JSON in the first argument, its answer the JSON on standard output. */
function run(scenario) {
  const input = JSON.parse(process.argv[2])
  scenario(client(input), input).then(
    (answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0)),
    (problem) => process.stderr.write(`${problem.stack}\n${said.join('\n')}\n`, () => process.exit(1))
  )
}

module.exports = { attempt, get, run }
