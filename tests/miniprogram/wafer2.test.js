/**
 * wafer2-client-sdk from npm, unmodified, against the service's routes for it: WAFER_COMPAT=1.
 *
 * The client logs in anew for each request, all at once; the service has to make one session of that.
 */
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { PRODUCTS, stage, times } = require('./support/stage.js')

const LOGIN = process.env.WAFER_LOGIN_PATH || '/weapp/login'
const set = stage({ WAFER_COMPAT: '1', LOGIN_COALESCE_MS: '3000' })

/** Whether the route is there: it answers a code in X-WX-Code with an skey. */
async function offered() {
  const headers = { 'X-WX-Code': await set.simulator.code('probe') }
  const body = await (await fetch(set.service.url + LOGIN, { headers })).json().catch(() => ({}))
  return Boolean(body && body.code === 0 && body.data && body.data.skey)
}

test('ten requests at launch: ten succeed', async (t) => {
  if (!(await offered())) return t.skip(`the service has no wafer login at ${LOGIN}`)
  const phone = new Phone(set.simulator, 'wafer')
  globalThis.wx = Object.assign({}, phone.wx, { removeStorageSync: (key) => phone.storage.delete(key) })
  t.after(() => delete globalThis.wx)
  const sdk = require('wafer2-client-sdk')
  sdk.setLoginUrl(set.wire.url + LOGIN)
  const calls = times(10, () => {
    return new Promise((success, fail) => sdk.request({ url: set.wire.url + PRODUCTS.url, login: true, success, fail }))
  })
  const answers = await Promise.all(calls)
  assert.deepEqual(answers.map(({ statusCode, data }) => [statusCode, data.code]), times(10, () => [200, 0]))
})
