/** Getting a session, keeping it, getting another: with one login, however many calls want it. */
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { Phone, GateError } = require('./support/phone.js')
const { PRODUCTS, endSession, outcomes, stage, times } = require('./support/stage.js')
const { startWire } = require('./support/wire.js')

const set = stage()
const phoneOf = (user) => new Phone(set.simulator, user)
const OK = times(10, () => 200)

test('ten requests at launch make one login', async () => {
  const phone = phoneOf('launch')
  const gate = phone.launch(set.wire.url)
  assert.deepEqual(await outcomes(times(10, () => gate.request(PRODUCTS))), OK)
  assert.equal(phone.logins, 1)
  assert.equal(set.wire.to('/login').length, 1)
  assert.equal(set.wire.to(PRODUCTS.url).length, 10)
  assert.deepEqual(gate.heard, ['login'])
})

test('ten requests that find the session dead make one login and ten repeats', async () => {
  const phone = phoneOf('stale')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  await endSession(set, phone.kept.id)
  set.wire.forget()
  assert.deepEqual(await outcomes(times(10, () => gate.request(PRODUCTS))), OK)
  assert.equal(phone.logins, 2)
  assert.equal(set.wire.to('/login').length, 1)
  const answers = set.wire.to(PRODUCTS.url).map(({ status }) => status)
  assert.deepEqual(answers.sort(), [...OK, ...times(10, () => 401)])
})

test('the 401 of an old session that comes late leaves the new one alone', async () => {
  const phone = phoneOf('late')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  await endSession(set, phone.kept.id)
  set.wire.fault(PRODUCTS.url, { delay: 800 })
  const late = gate.request(PRODUCTS)
  await new Promise((done) => setTimeout(done, 100))
  assert.equal((await gate.request({ url: '/session' })).statusCode, 200)
  const { id } = phone.kept
  assert.equal((await late).statusCode, 200)
  assert.equal(phone.kept.id, id)
  assert.equal(phone.logins, 2)
})

test('an answer that calls our own former session replaced is no reason to stop', async () => {
  const phone = phoneOf('self')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  set.wire.fault(PRODUCTS.url, { hold: 600 })
  const slow = gate.request(PRODUCTS)
  await new Promise((done) => setTimeout(done, 100))
  await gate.login() // the session that the slow request is sent with gets replaced
  assert.equal((await slow).statusCode, 200)
  assert.deepEqual(set.wire.to(PRODUCTS.url).map(({ status }) => status), [401, 200])
  assert.equal(gate.stopped, null)
  assert.deepEqual(gate.heard, ['login', 'login'])
})

test('the session outlives the mini-program', async () => {
  const phone = phoneOf('restart')
  await phone.launch(set.wire.url).login()
  const gate = phone.launch(set.wire.url)
  assert.equal(gate.loggedIn, true)
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.equal(phone.logins, 1)
})

test('a storage that is broken, or holds nonsense, costs a login and nothing else', async () => {
  const phone = phoneOf('storage')
  phone.storage.set('minigate', '"from another age"')
  assert.equal((await phone.launch(set.wire.url).request(PRODUCTS)).statusCode, 200)
  phone.wx.getStorageSync = phone.wx.setStorageSync = () => {
    throw new Error('storage is full')
  }
  const gate = phone.launch(set.wire.url)
  assert.deepEqual(await outcomes(times(3, () => gate.request(PRODUCTS))), [200, 200, 200])
  assert.equal(phone.logins, 2)
})

for (const [kind, params, error, logins] of [
  ['errcode', { errcode: 40125 }, 'wechat_misconfigured', 1],
  ['errcode', { errcode: 40029 }, 'login_code_invalid', 3],
  ['html_502', {}, 'wechat_unavailable', 3],
  ['errcode', { errcode: 45011 }, 'wechat_rate_limited', 1],
  ['blocked_user', { user: 'fails-wechat_user_blocked' }, 'wechat_user_blocked', 1],
]) {
  test(`a login that fails for good (${error}) rejects each call once`, async () => {
    await set.simulator.fault(kind, params)
    const phone = phoneOf(`fails-${error}`)
    const gate = phone.launch(set.wire.url)
    const calls = times(10, () => gate.request(PRODUCTS))
    assert.deepEqual(await outcomes(calls), times(10, () => error))
    const reason = await calls[0].catch((found) => found)
    assert.ok(reason instanceof GateError)
    assert.ok(reason.code >= 40001 && reason.message !== error && reason.requestId)
    assert.equal(set.wire.requests.length, logins)
    assert.equal(phone.logins, logins)
    await outcomes(times(5, () => gate.request(PRODUCTS)))
    assert.equal(set.wire.requests.length, logins, 'a call right after it must not try again')
  })
}

test('no answer whatever makes it go on for ever', { concurrency: true }, async (t) => {
  const dead = { 'www-authenticate': 'Session realm="minigate", error="session_expired"' }
  const answers = [
    [200, {}, '<html>a hotel wants your room number</html>'],
    [200, {}, '{"code": 0, "data": null}'],
    [200, {}, '{"code": 0, "data": {"sessionid": ""}}'],
    [200, {}, 'null'],
    [204, {}, ''],
    [302, {}, ''],
    [401, dead, '{"code": 40102, "error": "session_expired"}'],
    [503, { 'retry-after': '0' }, ''],
    [503, { 'retry-after': '-7' }, ''],
    [503, { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' }, ''],
    [429, Object.assign({ 'retry-after': '60' }, dead), '{"code": 42900, "error": "rate_limited"}'],
    [429, { 'retry-after': '1e400' }, '{"code": 42900, "error": "rate_limited"}'],
    [400, {}, '{"code": 40002, "error": "login_code_used", "data": {"retry": "new_code"}}'],
    [502, {}, '{"code": 50200, "error": "wechat_unavailable", "data": {"retry": "same_code"}}'],
  ]
  await Promise.all(
    answers.flatMap(([status, headers, body], row) =>
      ['/login', PRODUCTS.url].map((path) =>
        t.test(`${path} answers ${status} ${JSON.stringify(headers)} ${body}`, async (each) => {
          const wire = await startWire(set.service.url)
          each.after(() => wire.stop())
          wire.fault(path, { answer: { status, headers, body } }, 100)
          const phone = phoneOf(`nonsense-${row}-${path.length}`)
          const gate = phone.launch(wire.url)
          const [outcome] = await outcomes([gate.request(PRODUCTS)])
          assert.ok(path !== '/login' || typeof outcome === 'string', String(outcome))
          assert.ok(wire.requests.length <= 5, `${wire.requests.length} requests`)
          assert.ok(phone.logins <= 3, `${phone.logins} logins`)
        })
      )
    )
  )
})

test('logged out, it stays so until the user logs in, restarts included', async () => {
  const phone = phoneOf('logout')
  let gate = phone.launch(set.wire.url)
  await gate.login()
  const { id } = phone.kept
  assert.equal(await gate.logout(), true)
  assert.equal((await fetch(set.service.url + '/session', { headers: { sessionid: id } })).status, 401)
  gate = phone.launch(set.wire.url)
  assert.equal(gate.stopped, 'logged_out')
  assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), ['logged_out'])
  assert.equal(await gate.logout(), false)
  await gate.login()
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  await endSession(set, phone.kept.id)
  assert.equal(await gate.logout(), false)
  assert.equal(phone.logins, 2)
})

test('logging out while a login is under way ends that login too', async () => {
  const phone = phoneOf('hasty')
  const gate = phone.launch(set.wire.url)
  const call = gate.request(PRODUCTS)
  assert.equal(await gate.logout(), true)
  await outcomes([call])
  assert.equal(gate.loggedIn, false)
  assert.equal(phone.launch(set.wire.url).stopped, 'logged_out')
})

test('session() tells what is left', async () => {
  const gate = phoneOf('session').launch(set.wire.url)
  const { expiresIn, user } = await gate.session()
  assert.ok(expiresIn > 7100 && user.id)
})

test('a login with a profile does not get lost in one without', async () => {
  const phone = phoneOf('profile')
  const gate = phone.launch(set.wire.url)
  await gate.request(PRODUCTS)
  await gate.prepareLogin() // before the data is encrypted
  const { encryptedData, iv } = await set.simulator.profile('profile', '阿丽', { openid: true })
  await endSession(set, phone.kept.id)
  const silent = gate.request(PRODUCTS)
  const { user } = await gate.login({ encryptedData, iv })
  assert.equal(user.nickname, '阿丽')
  assert.equal((await silent).statusCode, 200)
})

test('the id goes to no address that the app has not named', async () => {
  const gate = phoneOf('foreign').launch(set.wire.url, { trusted: ['https://api.example.com/'] })
  for (const url of [
    'https://elsewhere.example.com/x',
    'https://api.example.com.elsewhere.example/x',
    'https://api.example.com@elsewhere.example/x',
    '//elsewhere.example/x',
    'x',
    set.wire.url + '1/x',
  ]) {
    assert.deepEqual(await outcomes([gate.request({ url })]), ['foreign_url'], url)
  }
  assert.equal(set.wire.requests.length, 0)
  assert.equal((await gate.request({ url: set.wire.url + PRODUCTS.url })).statusCode, 200)
})

test('callbacks are refused rather than forgotten', async () => {
  const gate = phoneOf('callbacks').launch(set.wire.url)
  assert.deepEqual(await outcomes([gate.request({ url: '/session', success() {} })]), ['callbacks_given'])
})

test('a listener that throws, or is taken off twice, harms no other', async (t) => {
  const gate = phoneOf('listeners').launch(set.wire.url)
  const heard = []
  const off = gate.on('login', () => heard.push('first'))
  gate.on('login', () => heard.push('second'))
  off()
  off()
  const caught = []
  const { setTimeout } = globalThis
  t.mock.method(globalThis, 'setTimeout', (done, ms, ...rest) =>
    setTimeout(() => {
      try {
        done(...rest)
      } catch (fault) {
        caught.push(fault.message)
      }
    }, ms)
  )
  gate.on('login', () => {
    throw new Error("the listener's own")
  })
  gate.on('login', () => heard.push('third'))
  await gate.login()
  assert.deepEqual(heard, ['second', 'third'])
  await new Promise((done) => setTimeout(done, 20))
  assert.deepEqual(caught, ["the listener's own"])
})
