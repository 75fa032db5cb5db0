/** What breaks on the way or behind the service must not cost a session, nor a second exchange. */
'use strict'

const assert = require('node:assert/strict')
const { after, test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { pause, redisProgram, startRedis } = require('./support/service.js')
const { PRODUCTS, outcomes, stage, times } = require('./support/stage.js')
const { startGateway } = require('./support/wire.js')

const set = stage(
  {},
  {
    async prepare(made) {
      if (!redisProgram()) return {}
      made.redis = await startRedis()
      made.toRedis = await startGateway(made.redis.port)
      return { REDIS_URL: `redis://127.0.0.1:${made.toRedis.port}/0` }
    },
  }
)
after(async () => {
  if (set.toRedis) await set.toRedis.stop()
  if (set.redis) await set.redis.stop()
})

const phoneOf = (user) => new Phone(set.simulator, user)

const statusOf = async (id) => (await fetch(set.service.url + '/session', { headers: { sessionid: id } })).status

/** Take the phone's network away; returns what brings it back. */
function unplug(phone) {
  const { request } = phone.wx
  phone.wx.request = ({ fail }) => void setTimeout(() => fail({ errMsg: 'request:fail' }))
  return () => Object.assign(phone.wx, { request })
}

/** A phone whose session could not be ended for want of a network, which is back; and that session's id. */
async function loggedOutOffline(user) {
  const phone = phoneOf(user)
  const gate = phone.launch(set.wire.url)
  const { sessionid } = await gate.login()
  const plug = unplug(phone)
  assert.deepEqual(await outcomes(times(2, () => gate.logout())), ['offline', 'offline'])
  plug()
  set.wire.forget()
  return { phone, gate, id: sessionid }
}

test('a lost answer to a login costs neither a session nor a second exchange', async () => {
  const phone = phoneOf('lost')
  const gate = phone.launch(set.wire.url)
  const before = await set.simulator.exchanges()
  set.wire.fault('/login', { cut: true })
  assert.deepEqual(await outcomes(times(10, () => gate.request(PRODUCTS))), times(10, () => 200))
  assert.equal((await set.simulator.exchanges()) - before, 1)
  assert.equal(phone.logins, 1)
  const [first, second] = set.wire.to('/login')
  assert.equal(first.status, 200)
  assert.equal(first.headers['idempotency-key'], second.headers['idempotency-key'])
  assert.match(first.headers['idempotency-key'], /^[\x21-\x7e]{20,128}$/)
  assert.deepEqual(gate.heard, ['offline:offline', 'login'])
})

for (const [name, status] of [['login_code_used', 400], ['idempotency_key_reused', 422]]) {
  test(`after ${name} a new code goes out, under a key of its own`, async () => {
    const phone = phoneOf(name)
    const gate = phone.launch(set.wire.url)
    set.wire.forget()
    const body = JSON.stringify({ code: status * 100, error: name, msg: '', data: { retry: 'new_code' } })
    set.wire.fault('/login', { answer: { status, headers: { 'content-type': 'application/json' }, body } })
    await gate.login()
    const [first, second] = set.wire.to('/login')
    assert.deepEqual([first.status, second.status, phone.logins], [status, 200, 2])
    assert.notEqual(first.headers['idempotency-key'], second.headers['idempotency-key'])
  })
}

test('without a network a call rejects, and the next one works', async () => {
  const phone = phoneOf('tunnel')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  set.wire.fault(PRODUCTS.url, { cut: true })
  assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), ['offline'])
  assert.equal(set.wire.to(PRODUCTS.url).length, 1, 'what is no login may not be safe to repeat')
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.equal(phone.logins, 1)
})

test('wx.login that fails is told apart', async () => {
  const phone = phoneOf('no-code')
  phone.wx.login = ({ fail }) => setTimeout(() => fail({ errMsg: 'login:fail timeout' }))
  const gate = phone.launch(set.wire.url)
  const reason = await gate.request(PRODUCTS).catch((error) => error)
  assert.deepEqual([reason.error, reason.message], ['wx_login_failed', 'login:fail timeout'])
  assert.equal(set.wire.requests.length, 0)
})

test('while Redis is down calls wait for it, and the session is still there', async (t) => {
  if (!set.redis) return t.skip('no redis-server to cut off')
  const phone = phoneOf('redis')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  const { id } = phone.kept
  set.toRedis.close()
  const started = Date.now()
  const calls = outcomes(times(10, () => gate.request(PRODUCTS)))
  const fresh = phoneOf('redis-fresh')
  const login = outcomes([fresh.launch(set.wire.url).request(PRODUCTS)])
  await pause(700)
  set.toRedis.open()
  assert.deepEqual(await calls, times(10, () => 200))
  assert.deepEqual(await login, [200])
  assert.ok(Date.now() - started >= 1000, 'Retry-After: 1 was not waited for')
  const answers = set.wire.to(PRODUCTS.url).map(({ status }) => status)
  assert.ok(answers.includes(503) && !answers.includes(401), answers.join())
  assert.deepEqual([phone.kept.id, phone.logins, gate.stopped], [id, 1, null])
})

test('if Redis stays away, the 503 is handed over in the end', async (t) => {
  if (!set.redis) return t.skip('no redis-server to cut off')
  const phone = phoneOf('away')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  set.wire.forget()
  set.toRedis.close()
  try {
    assert.deepEqual(await outcomes(times(3, () => gate.request(PRODUCTS))), [503, 503, 503])
    assert.equal(set.wire.requests.length, 9)
    assert.deepEqual(await outcomes([gate.session()]), ['session_store_unavailable'])
    const [fresh] = await outcomes([phoneOf('away-fresh').launch(set.wire.url).request(PRODUCTS)])
    assert.equal(fresh, 'session_store_unavailable')
    assert.ok(set.wire.to('/login').length <= 3)
  } finally {
    set.toRedis.open()
  }
  await pause(1200)
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.equal(phone.logins, 1)
})

test('Retry-After: waited for with jitter, left to the caller when long', async (t) => {
  const busy = (seconds) => ({ answer: { status: 429, headers: { 'Retry-After': seconds }, body: '{}' } })
  const gate = phoneOf('busy').launch(set.wire.url, { longestWaitMs: 2000 })
  await gate.login()
  const { setTimeout } = globalThis
  const asked = []
  t.mock.method(globalThis, 'setTimeout', (done, ms, ...rest) => {
    asked.push(ms)
    return setTimeout(done, ms, ...rest)
  })
  const started = Date.now()
  set.wire.fault(PRODUCTS.url, busy('1'), 6)
  assert.deepEqual(await outcomes(times(6, () => gate.request(PRODUCTS))), times(6, () => 200))
  assert.ok(Date.now() - started >= 990)
  const jittered = new Set(asked.filter((ms) => ms > 1000 && ms < 1500))
  assert.equal(jittered.size, 6, `not all different: ${asked.join()}`)
  set.wire.forget()
  set.wire.fault(PRODUCTS.url, busy('60'))
  assert.equal((await gate.request(PRODUCTS)).statusCode, 429)
  set.wire.fault(PRODUCTS.url, { answer: { status: 503, headers: {}, body: '' } })
  assert.equal((await gate.request({ url: PRODUCTS.url, method: 'POST' })).statusCode, 503)
  assert.equal(set.wire.requests.length, 2, 'nobody asked for a repeat')
})

test('a login that may come again with the same code waits as long as it is asked to', async () => {
  const phone = phoneOf('crowded')
  const gate = phone.launch(set.wire.url)
  set.wire.forget()
  const body = JSON.stringify({ code: 42900, error: 'rate_limited', data: { limit: 'x', retry: 'same_code' } })
  set.wire.fault('/login', { answer: { status: 429, headers: { 'Retry-After': '1' }, body } })
  await gate.login()
  const [refused, served] = set.wire.to('/login')
  assert.deepEqual([refused.status, served.status, phone.logins], [429, 200, 1])
  assert.ok(served.began - refused.began >= 990, `${served.began - refused.began} ms`)
})

test('a login refused for a minute is not tried again within it', async () => {
  await set.simulator.fault('errcode', { errcode: 45011, times: 1 })
  const phone = phoneOf('minute')
  const gate = phone.launch(set.wire.url)
  const reason = await gate.request(PRODUCTS).catch((error) => error)
  assert.deepEqual([reason.error, reason.retryAfterMs], ['wechat_rate_limited', 60000])
  await pause(1500)
  assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), ['wechat_rate_limited'])
  assert.equal(phone.logins, 1)
  await gate.login() // the user may try
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
})

test('a login over a limit is not tried again before it may pass', async () => {
  const body = '{"code": 42900, "error": "rate_limited", "data": {"limit": "login_per_address"}}'
  const limited = { answer: { status: 429, headers: { 'Retry-After': '30' }, body } }
  const phone = phoneOf('limited')
  const gate = phone.launch(set.wire.url)
  set.wire.fault('/login', limited, 100)
  const reason = await gate.request(PRODUCTS).catch((error) => error)
  assert.deepEqual([reason.error, reason.retryAfterMs, reason.data.limit], ['rate_limited', 30000, 'login_per_address'])
  assert.deepEqual(await outcomes(times(5, () => gate.request(PRODUCTS))), times(5, () => 'rate_limited'))
  assert.deepEqual([phone.logins, set.wire.requests.length], [1, 1])
})

test('a session that died behind a guesser\'s address is renewed without a wait', async () => {
  const phone = phoneOf('neighbour')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  const body = '{"code": 42900, "error": "rate_limited", "data": {"limit": "dead_sessions_per_address"}}'
  const told = { 'Retry-After': '60', 'WWW-Authenticate': 'Session realm="minigate", error="session_expired"' }
  set.wire.fault(PRODUCTS.url, { answer: { status: 429, headers: told, body } }, 1)
  const started = Date.now()
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.ok(Date.now() - started < 2000)
  assert.equal(phone.logins, 2)
})

test('a logout that found no network is sent again by the next one', async () => {
  const { gate, id } = await loggedOutOffline('unheard')
  assert.equal(await statusOf(id), 200)
  assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), ['logged_out'])
  assert.deepEqual([gate.loggedIn, gate.stopped, set.wire.requests.length], [false, 'logged_out', 0])
  assert.equal(await gate.logout(), true)
  assert.equal(await statusOf(id), 401)
  assert.equal(await gate.logout(), false)
  assert.equal(set.wire.requests.length, 1, 'the service has answered')
})

test('a restart does not forget the session that is still to be ended, nor use it', async () => {
  const { phone, id } = await loggedOutOffline('unheard-restart')
  const gate = phone.launch(set.wire.url)
  assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), ['logged_out'])
  assert.deepEqual([gate.loggedIn, set.wire.requests.length], [false, 0])
  assert.equal(await gate.logout(), true)
  assert.equal(await statusOf(id), 401)
  assert.ok(!phone.storage.get('minigate').includes(id))
})

test('a logout that the service could not do is sent again, also where the storage is full', async () => {
  const phone = phoneOf('unended')
  const gate = phone.launch(set.wire.url)
  const { sessionid } = await gate.login()
  phone.wx.setStorageSync = () => {
    throw new Error('full')
  }
  set.wire.fault('/logout', { answer: { status: 502, headers: {}, body: '' } })
  assert.deepEqual(await outcomes([gate.logout()]), ['http_502'])
  assert.equal(await gate.logout(), true)
  assert.equal(await statusOf(sessionid), 401)
})

test('two logouts at once end one session', async () => {
  const gate = phoneOf('twice').launch(set.wire.url)
  await gate.login()
  const ended = await Promise.all(times(2, () => gate.logout()))
  assert.deepEqual(ended.sort(), [false, true])
})

test('a login that is refused does not cost the session that is still to be ended', async () => {
  const { gate, id } = await loggedOutOffline('unheard-blocked')
  await set.simulator.fault('blocked_user', { user: 'unheard-blocked' })
  assert.deepEqual(await outcomes([gate.login()]), ['wechat_user_blocked'])
  assert.equal(await gate.logout(), true)
  assert.equal(await statusOf(id), 401)
})

test('a logout that comes late leaves the login after it alone', async () => {
  const phone = phoneOf('overtaken')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  set.wire.fault('/logout', { hold: 700 })
  const late = gate.logout()
  const { sessionid } = await gate.login()
  assert.equal(await late, false, 'the login had ended the session before')
  assert.equal(await statusOf(sessionid), 200)
  assert.deepEqual([gate.loggedIn, phone.kept], [true, { id: sessionid }])
})

test('after a login a logout ends that session, and no longer the one before', async () => {
  const { gate, id } = await loggedOutOffline('again')
  const { sessionid } = await gate.login()
  set.wire.forget()
  assert.equal(await gate.logout(), true)
  assert.deepEqual(set.wire.to('/logout').map(({ headers }) => headers.sessionid), [sessionid])
  assert.deepEqual([await statusOf(id), await statusOf(sessionid)], [401, 401])
})
