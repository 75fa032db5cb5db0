/** What is published: small, without dependencies, in a JavaScript that WeChat takes as it is. */
'use strict'

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { transformSync } = require('esbuild')

const { FILE, LIMIT, measure } = require('./size.js')

const FOLDER = path.dirname(FILE)

test('it is small', () => {
  const { minified } = measure()
  assert.ok(minified <= LIMIT, `${minified} bytes`)
})

test('it is ES2017 as it stands', () => {
  for (const name of ['index.js', 'adapters.js']) {
    const source = fs.readFileSync(path.join(FOLDER, name), 'utf8')
    const [plain, lowered] = ['esnext', 'es2017'].map((target) => transformSync(source, { target }).code)
    assert.equal(lowered, plain, name)
  }
})

test('it requires nothing but itself', () => {
  assert.doesNotMatch(fs.readFileSync(FILE, 'utf8'), /require\(|\bimport\b/)
  const about = JSON.parse(fs.readFileSync(path.join(FOLDER, 'package.json'), 'utf8'))
  assert.equal(about.dependencies, undefined)
})

test('npm packs every file that is needed', () => {
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: FOLDER, stdio: ['ignore', 'pipe', 'ignore'] })
  const answer = JSON.parse(packed)
  const [{ files }] = Array.isArray(answer) ? answer : Object.values(answer)
  const names = files.map((file) => file.path).sort()
  const needed = ['adapters.d.ts', 'adapters.js', 'index.d.ts', 'index.js', 'package.json', 'README.md', 'README.zh-CN.md']
  assert.deepEqual(names, needed.sort())
})
