/** What the client adds to a mini-program: `npm run size`. */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { gzipSync } = require('node:zlib')

const { transformSync } = require('esbuild')

const LIMIT = 8 * 1024
const FILE = path.resolve(__dirname, '../../miniprogram/minigate/index.js')

function measure() {
  const source = fs.readFileSync(FILE, 'utf8')
  const { code } = transformSync(source, { minify: true, target: 'es2017' })
  return { source: source.length, minified: code.length, gzipped: gzipSync(code).length }
}

module.exports = { FILE, LIMIT, measure }

if (require.main === module) {
  const { source, minified, gzipped } = measure()
  console.log(`index.js: ${source} bytes, ${minified} minified (at most ${LIMIT}), ${gzipped} gzipped`)
  process.exitCode = minified > LIMIT ? 1 : 0
}
