/**
 * wafer2-client-sdk 2.1.0 from npm, unmodified, against the service with WAFER_COMPAT=1.
 *
 * The client logs in anew for each request, all at once; the service has to make one session of that.
 */
'use strict'

const assert = require('node:assert/strict')
const { after, test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { pause, redisProgram, startRedis } = require('./support/service.js')
const { PRODUCTS, endSession, stage, times } = require('./support/stage.js')
const { launchWafer } = require('./support/wafer.js')
const { startGateway } = require('./support/wire.js')

const COALESCE_MS = 3000
const LOGIN = '/weapp/login'
const USER = '/weapp/user'
const set = stage(
  { WAFER_COMPAT: '1', LOGIN_COALESCE_MS: String(COALESCE_MS) },
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
const launch = (phone) => launchWafer(phone, set.wire.url + LOGIN)
const products = () => ({ url: set.wire.url + PRODUCTS.url })
const user = () => ({ url: set.wire.url + USER })
const statuses = (path) => set.wire.to(path).map(({ status }) => status)
const seen = ({ statusCode, data }) => [statusCode, data.code]
/** Until a further login of the user would replace the session. */
const windowOver = () => pause(COALESCE_MS + 200)

test('it is the SDK as published', () => {
  assert.equal(require('wafer2-client-sdk/package.json').version, '2.1.0')
})

test('ten requests at launch: ten succeed', async () => {
  const phone = phoneOf('launch')
  const app = launch(phone)
  const answers = await Promise.all(times(10, () => app.request({ ...products(), login: true })))
  assert.deepEqual(answers.map(seen), times(10, () => [200, 0]))
  assert.equal(phone.logins, 10, 'that is how the SDK is')
  assert.deepEqual(statuses(PRODUCTS.url), times(10, () => 200), 'none of them had to be repeated')
  const skeys = set.wire.to(PRODUCTS.url).map(({ headers }) => headers['x-wx-skey'])
  assert.equal(new Set(skeys).size, 1)
})

test('ten requests at launch that do not ask for a login: ten succeed', async () => {
  const app = launch(phoneOf('bare'))
  const answers = await Promise.all(times(10, () => app.request(products())))
  assert.deepEqual(answers.map(seen), times(10, () => [200, 0]))
  assert.deepEqual(statuses(PRODUCTS.url).sort(), [...times(10, () => 200), ...times(10, () => 401)])
})

test('a login with a profile, one with the code, and /weapp/user show the same user', async () => {
  const phone = phoneOf('profile')
  phone.nickName = '小红'
  const app = launch(phone)
  const shown = await app.login()
  assert.equal(shown.nickName, '小红')
  assert.match(shown.openId, /^o/)
  assert.match(shown.avatarUrl, /^http:/)
  assert.deepEqual(await app.loginWithCode(), shown)
  const answer = await app.request(user())
  assert.deepEqual([...seen(answer), answer.data.data], [200, 0, shown])
})

test('ten requests on a dead session log in again: ten succeed', async () => {
  const phone = phoneOf('dead')
  const app = launch(phone)
  await app.loginWithCode()
  await endSession(set, app.skey)
  const dead = app.skey
  const answers = await Promise.all(times(10, () => app.request(products())))
  assert.deepEqual(answers.map(seen), times(10, () => [200, 0]))
  assert.equal(phone.logins, 11)
  assert.deepEqual(statuses(PRODUCTS.url).sort(), [...times(10, () => 200), ...times(10, () => 401)])
  assert.notEqual(app.skey, dead)
})

test('the skey that the wafer2 server left on the phone is no hindrance', async () => {
  const phone = phoneOf('mover')
  const app = launch(phone)
  app.sdk.Session.set({ skey: 'da39a3ee5e6b4b0d3255bfef95601890afd80709', userinfo: {} })
  assert.deepEqual(seen(await app.request(user())), [200, 0])
  assert.deepEqual(statuses(USER), [401, 200])
  assert.equal(phone.logins, 1)
})

test('a second phone of the same user: both go on, at one login each', async () => {
  const phones = [phoneOf('twice'), phoneOf('twice')]
  const apps = phones.map(launch)
  await apps[0].loginWithCode()
  await windowOver()
  await apps[1].loginWithCode()
  assert.notEqual(apps[0].skey, apps[1].skey)
  await windowOver()
  // The SDK does not know of a session that was replaced: it takes the account back.
  assert.deepEqual(seen(await apps[0].request(products())), [200, 0])
  assert.deepEqual(statuses(PRODUCTS.url), [401, 200])
  // And the other one shares what it finds.
  assert.deepEqual(seen(await apps[1].request(products())), [200, 0])
  assert.equal(apps[0].skey, apps[1].skey)
  set.wire.forget()
  const answers = await Promise.all(times(10, (_, turn) => apps[turn % 2].request(products())))
  assert.deepEqual(answers.map(seen), times(10, () => [200, 0]))
  assert.equal(set.wire.requests.length, 10, 'no ping-pong')
  assert.deepEqual(phones.map(({ logins }) => logins), [2, 2])
})

test('a login that is refused for good ends after one attempt per request', async () => {
  const phone = phoneOf('refused')
  const app = launch(phone)
  await set.simulator.fault('blocked_user', { user: phone.user })
  const failures = await Promise.allSettled(times(10, () => app.request(products())))
  assert.deepEqual(failures.map(({ status }) => status), times(10, () => 'rejected'))
  assert.equal(phone.logins, 10)
  assert.equal(set.wire.requests.length, 20)
  await assert.rejects(app.login(), /"code":-1,"error":"wechat_user_blocked"/)
})

test('a session that dies again at once is told once, by the name of its error', async () => {
  const phone = phoneOf('again')
  const app = launch(phone)
  const skey = 'B'.repeat(22) + '.' + 'A'.repeat(43)
  const body = JSON.stringify({ code: 0, data: { skey, userinfo: {} } })
  set.wire.fault(LOGIN, { answer: { status: 200, headers: {}, body } }, 10)
  await assert.rejects(app.request(products()), { type: 'session_expired', message: '登录态已过期' })
  assert.equal(phone.logins, 1)
  assert.deepEqual(statuses(PRODUCTS.url), [401, 401])
})

test('an outage of Redis costs no session and no login', { skip: !redisProgram() }, async () => {
  const phone = phoneOf('outage')
  const app = launch(phone)
  await app.loginWithCode()
  const { skey } = app
  set.toRedis.close()
  for (const options of [products(), user()]) {
    assert.deepEqual(seen(await app.request(options)), [503, 50300])
  }
  await assert.rejects(app.loginWithCode())
  assert.equal(app.skey, skey)
  set.toRedis.open()
  await pause(100)
  assert.deepEqual(seen(await app.request(user())), [200, 0])
  assert.equal(app.skey, skey)
  assert.equal(phone.logins, 2)
})
