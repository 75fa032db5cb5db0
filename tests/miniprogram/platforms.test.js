/** The same file on uni-app and Taro, whose APIs differ from wx in small ways. */
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { forTaro, forUni, forWx } = require('../../miniprogram/minigate/adapters.js')
const { Phone, createGate } = require('./support/phone.js')
const { PRODUCTS, endSession, outcomes, stage, times } = require('./support/stage.js')

const set = stage()
const CALLS = ['login', 'request', 'uploadFile', 'downloadFile', 'connectSocket']

/** uni answers with a promise unless it is given a callback; uni.login wants the provider. */
function uniOf(wx) {
  const uni = Object.assign({}, wx)
  for (const name of CALLS) {
    uni[name] = (options) => {
      if (name === 'login') assert.equal(options.provider, 'weixin')
      if (options.success || options.fail || options.complete) return wx[name](options)
      return Promise.resolve(wx[name](options))
    }
  }
  return uni
}

/** Taro answers with a promise as well as through the callbacks. */
function taroOf(wx) {
  const taro = Object.assign({}, wx)
  for (const name of CALLS) {
    taro[name] = (options) => {
      if (name === 'connectSocket') return Promise.resolve(wx[name](options))
      return new Promise((done, refuse) => {
        const success = (res) => [options.success && options.success(res), done(res)]
        const fail = (fault) => [options.fail && options.fail(fault), refuse(fault)]
        wx[name](Object.assign({}, options, { success, fail }))
      })
    }
  }
  return taro
}

for (const [name, platformFor] of [
  ['wx', (wx) => forWx(wx)],
  ['uni', (wx) => forUni(uniOf(wx))],
  ['Taro', (wx) => forTaro(taroOf(wx))],
]) {
  test(`${name}: launch, a dead session, a lost answer, a socket`, async () => {
    const phone = new Phone(set.simulator, name)
    const gate = createGate({ baseUrl: set.wire.url + '/', platform: platformFor(phone.wx) })
    set.wire.fault('/login', { cut: true })
    assert.deepEqual(await outcomes(times(10, () => gate.request(PRODUCTS))), times(10, () => 200))
    assert.equal(phone.logins, 1)
    await endSession(set, phone.kept.id)
    assert.deepEqual(await outcomes(times(10, () => gate.request(PRODUCTS))), times(10, () => 200))
    assert.equal(phone.logins, 2)
    const socket = await gate.connectSocket({ url: '/socket' })
    await new Promise((done) => socket.onOpen(done))
    set.wire.fault(PRODUCTS.url, { cut: true })
    assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), ['offline'])
  })
}

test('without a platform it is wx', async (t) => {
  const phone = new Phone(set.simulator, 'global')
  globalThis.wx = phone.wx
  t.after(() => delete globalThis.wx)
  assert.equal((await createGate({ baseUrl: set.wire.url }).request(PRODUCTS)).statusCode, 200)
})
