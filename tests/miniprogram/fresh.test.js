/** A change that wants a fresh login: the client logs in by itself, once, and the same code does it. */
'use strict'

const assert = require('node:assert/strict')
const { after, test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { startRedis } = require('./support/service.js')
const { PRODUCTS, outcomes, stage, times } = require('./support/stage.js')

const CHANGE = '/me/phone'
const TOO_OLD = { code: 40105, error: 'login_too_old', msg: 'x', data: null, requestId: 'r' }
const HEADER = { 'www-authenticate': 'Session realm="minigate", error="login_too_old"' }

const set = stage(
  {},
  {
    async prepare(made) {
      made.redis = await startRedis()
      return { REDIS_URL: `redis://127.0.0.1:${made.redis.port}/0` }
    },
  }
)
after(() => set.redis && set.redis.stop())

const AGE = `
  local record = cjson.decode(redis.call('GET', KEYS[1]))
  record.iat = record.iat - ARGV[1] * 1000
  return redis.call('SET', KEYS[1], cjson.encode(record), 'KEEPTTL')`

/** Make the phone's login as old as that. */
async function age(phone, seconds) {
  const key = 'minigate:session:' + phone.kept.id.split('.')[0]
  assert.match(await set.redis.command('EVAL', AGE, '1', key, String(seconds)), /OK/)
}

async function withNumber(user, number) {
  const phone = new Phone(set.simulator, user)
  const gate = phone.launch(set.wire.url)
  await gate.loginByPhone({ code: await set.simulator.phoneCode(user, number) })
  set.wire.forget()
  return { phone, gate }
}

const change = async (gate, user, number) => {
  const code = await set.simulator.phoneCode(user, number)
  return gate.request({ url: CHANGE, method: 'PUT', data: { code } })
}

const statuses = () => set.wire.to(CHANGE).map(({ status }) => status)

test('changing a number takes a fresh login, which the client makes by itself', async () => {
  const { phone, gate } = await withNumber('moves', '13800000011')
  await age(phone, 301)
  const { statusCode, data } = await change(gate, 'moves', '13800000012')
  assert.deepEqual([statusCode, data.data.phone], [200, '+86 13800000012'])
  assert.deepEqual(statuses(), [401, 200])
  assert.equal(phone.logins, 2)
  assert.equal(gate.stopped, null)
  assert.deepEqual(gate.heard, ['login', 'login'])
})

test('a fresh login needs no other', async () => {
  const { phone, gate } = await withNumber('fresh', '13800000013')
  assert.equal((await change(gate, 'fresh', '13800000014')).statusCode, 200)
  assert.deepEqual(statuses(), [200])
  assert.equal(phone.logins, 1)
})

test('told so twice, it rejects, and the session goes on', async () => {
  const { phone, gate } = await withNumber('twice', '13800000015')
  const answer = { status: 401, headers: HEADER, body: JSON.stringify(TOO_OLD) }
  set.wire.fault(CHANGE, { answer }, 100)
  assert.deepEqual(await outcomes([change(gate, 'twice', '13800000016')]), ['login_too_old'])
  assert.deepEqual(statuses(), [401, 401])
  assert.equal(phone.logins, 2)
  assert.equal(gate.loggedIn, true)
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.equal(phone.logins, 2)
})

test('it is seen in a 200 too, as AUTH_ERROR_STATUS sends it', async () => {
  const { phone, gate } = await withNumber('bodies', '13800000017')
  set.wire.fault(CHANGE, { answer: { status: 200, headers: {}, body: JSON.stringify(TOO_OLD) } })
  assert.equal((await change(gate, 'bodies', '13800000018')).data.code, 0)
  assert.equal(phone.logins, 2)
})

test('calls beside it go on, and all share one login', async () => {
  const { phone, gate } = await withNumber('beside', '13800000019')
  await age(phone, 301)
  const calls = [change(gate, 'beside', '13800000020'), ...times(9, () => gate.request(PRODUCTS))]
  assert.deepEqual(await outcomes(calls), times(10, () => 200))
  assert.equal(phone.logins, 2)
  assert.equal(gate.stopped, null)
})
