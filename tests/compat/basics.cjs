'use strict'
// Everything that needs no order: what a publisher's and a consumer's front end ask first.
const { attempt, run } = require('./common.cjs')

run(async ({ lib, provider }, input) => ({
  valid: await provider.isValidProvider(input.url),
  elsewhere: await attempt(() => provider.isValidProvider(input.fileUrl)),
  encrypted: await provider.encrypt(input.secret, 8996, input.url),
  didFiles: await provider.checkDidFiles(input.did, input.serviceId, input.url, true),
  fileInfo: await provider.getFileInfo({ type: 'url', url: input.fileUrl, method: 'GET' }, input.url, true),
  missingFile: await provider.getFileInfo({ type: 'url', url: `${input.fileUrl}.not`, method: 'GET' }, input.url),
  nonce: await attempt(() => provider.getNonce(input.url, input.nobody)),
  slash: await provider.getComputeEnvironments(`${input.url}/`),
  environments: await provider.getComputeEnvironments(input.url),
  document: await attempt(() => new lib.Aquarius(input.url).resolve(input.did))
}))
