'use strict'
// A job whose environment is paid through the escrow contract: refused, deposited and authorized, locked, run, claimed.
const { attempt, run } = require('./ocean8.cjs')

const CHAIN_ID = 8996
const SECONDS = 120

run(async (ocean, input) => {
  const { ethers, lib, provider, signer } = ocean
  const { url, datasets, algorithm, feeToken } = input
  const [environment] = await provider.getComputeEnvironments(url)
  const resources = [{ id: 'cpu', amount: 1 }, { id: 'ram', amount: 0.25 }]
  const quoted = await provider.initializeCompute(
    datasets, algorithm, environment.id, feeToken, SECONDS, url, ocean.account, resources, CHAIN_ID, undefined, undefined, 60
  )
  for (const [position, item] of quoted.datasets.entries()) datasets[position].transferTxId = await ocean.order(item)
  const start = () => provider.computeStart(
    url, signer, environment.id, datasets, algorithm, SECONDS, feeToken, resources, CHAIN_ID,
    { name: 'paid' }, undefined, undefined, undefined, undefined, 60
  )
  const { payment } = quoted
  const poor = await attempt(start)
  const escrow = new lib.EscrowContract(ethers.getAddress(payment.escrowAddress), signer, CHAIN_ID)
  const amount = ethers.formatUnits(payment.amount, 18)
  const mined = async (sent) => (await sent).wait()
  await mined(new lib.Datatoken(signer, CHAIN_ID).approve(feeToken, payment.escrowAddress, amount))
  await mined(escrow.deposit(feeToken, amount))
  const unauthorized = await attempt(start)
  await mined(escrow.authorize(feeToken, environment.consumerAddress, amount, String(payment.minLockSeconds), '10'))
  const funds = async () => {
    const found = await escrow.getUserFunds(ocean.account, feeToken)
    return { available: String(found[0]), locked: String(found[1]) }
  }
  const before = await funds()
  const [started] = await start()
  const during = await funds()
  const job = await ocean.until(started.jobId, ({ dateFinished, payment: paid }) => dateFinished && paid.state === 'closed')
  return { environment, quoted, poor, unauthorized, before, started, during, job, after: await funds(), again: await attempt(start) }
})
