/** The page's words for errors, without a browser. */
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const ROOT = path.resolve(__dirname, '../..')
const TYPES = fs.readFileSync(path.join(ROOT, 'miniprogram/minigate/index.d.ts'), 'utf8')

/** A file of the page as a module: nothing beside it says that it is one. */
const load = (name) => {
  const source = fs.readFileSync(path.join(ROOT, 'service/dev/demo_page', name), 'utf8')
  return import(`data:text/javascript,${encodeURIComponent(source)}`)
}

test('every refusal of a nickname says what is wrong and what to type', async () => {
  const { explain } = await load('errors.js')
  const refusals = TYPES.match(/nickname_\w+/g)
  assert.ok(refusals.length > 0)
  const advice = explain({ error: 'unknown' }, 'en')[1]
  for (const error of refusals) {
    const [what, next] = explain({ error, message: '', data: { field: 'nickname' } }, 'en')
    assert.match(what, /nickname/, error)
    assert.notEqual(next, advice, error)
    assert.match(explain({ error, message: '' }, 'zh')[0], /昵称/, error)
  }
})
