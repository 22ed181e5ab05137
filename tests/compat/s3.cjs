'use strict'
// An S3 server of its own, on a free port of loopback, over a folder. Ends with its standard input.
const S3rver = require('s3rver')

const [directory, bucket] = process.argv.slice(2)
const server = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory, configureBuckets: [{ name: bucket }] })
server.run().then(({ port }) => console.log(port))
process.stdin.on('end', () => process.exit(0)).resume()
