/** Two phones, one user: the later login wins, and the other phone does not fight back. */
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { after, test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { ROOT, pause, redisProgram, startRedis } = require('./support/service.js')
const { PRODUCTS, outcomes, stage, times } = require('./support/stage.js')

const POLLING_MS = process.env.E2E_LONG === '1' ? 60000 : 3000

const set = stage(
  {},
  {
    async prepare(made) {
      if (!redisProgram()) return {}
      made.redis = await startRedis()
      return { REDIS_URL: `redis://127.0.0.1:${made.redis.port}/0` }
    },
  }
)
after(() => set.redis && set.redis.stop())

const phonesOf = (user) => [new Phone(set.simulator, user), new Phone(set.simulator, user)]

async function takenOver(user, options) {
  const [first, second] = phonesOf(user)
  const gates = [first.launch(set.wire.url, options), second.launch(set.wire.url, options)]
  await gates[0].login()
  await gates[1].login()
  return { first, second, gates }
}

test('the replaced phone is told once and stays logged out until its user acts', async () => {
  const { first, second, gates } = await takenOver('two')
  const told = []
  gates[0].on('replaced', (error) => told.push(error))
  const calls = await outcomes(times(10, () => gates[0].request(PRODUCTS)))
  assert.deepEqual(calls, times(10, () => 'session_replaced'))
  assert.equal(told.length, 1)
  assert.equal(told[0].code, 40101)
  assert.ok(told[0].data.at > 1.6e9 && told[0].message)
  assert.equal(gates[0].stopped, 'session_replaced')

  set.wire.forget()
  assert.deepEqual(await outcomes([gates[0].request(PRODUCTS), gates[0].session()]), times(2, () => 'session_replaced'))
  assert.equal(set.wire.requests.length, 0, 'nothing is sent any more')
  assert.equal((await gates[1].request(PRODUCTS)).statusCode, 200)

  const again = first.launch(set.wire.url)
  assert.equal(again.stopped, 'session_replaced', 'a restart is no act of the user')
  const reason = await again.request(PRODUCTS).catch((error) => error)
  assert.deepEqual([reason.error, reason.code, reason.message], ['session_replaced', 40101, told[0].message])
  assert.equal(first.logins, 1)

  await again.login() // the user acts
  assert.equal((await again.request(PRODUCTS)).statusCode, 200)
  assert.deepEqual(await outcomes([gates[1].request(PRODUCTS)]), ['session_replaced'])
  assert.equal(second.logins, 1)
})

test(`two phones that poll for ${POLLING_MS / 1000} s do not throw each other out`, async () => {
  const { first, second, gates } = await takenOver('polling')
  const until = Date.now() + POLLING_MS
  const polled = [[], []]
  while (Date.now() < until) {
    const [one, other] = await outcomes(gates.map((gate) => gate.request(PRODUCTS)))
    polled[0].push(one)
    polled[1].push(other)
    await pause(100)
  }
  assert.ok(polled[0].length > 10)
  assert.deepEqual(new Set(polled[0]), new Set(['session_replaced']))
  assert.deepEqual(new Set(polled[1]), new Set([200]))
  assert.deepEqual([first.logins, second.logins], [1, 1])
})

for (const [what, fault] of [
  ['a gateway drops the body', { dropBody: true }],
  ['a gateway drops the body and the header that says why', { dropBody: true, strip: ['www-authenticate'] }],
]) {
  test(`it is understood also where ${what}`, async () => {
    const { first, gates } = await takenOver(`gateway-${Object.keys(fault).length}`)
    set.wire.fault(PRODUCTS.url, fault)
    assert.deepEqual(await outcomes([gates[0].request(PRODUCTS)]), ['session_replaced'])
    assert.equal(gates[0].stopped, 'session_replaced')
    assert.equal(first.logins, 1)
  })
}

test('it is understood by downloads, whose answers say nothing', async () => {
  const { first, gates } = await takenOver('download')
  assert.deepEqual(await outcomes([gates[0].downloadFile({ url: '/me/export' })]), ['session_replaced'])
  assert.equal(first.logins, 1)
  assert.deepEqual(await outcomes([gates[1].downloadFile({ url: '/me/export' })]), [200])
})

test("a back end's own 401 ends no session", async () => {
  const phone = new Phone(set.simulator, 'own-401')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  set.wire.fault(PRODUCTS.url, { answer: { status: 401, headers: {}, body: '{"error": "wrong_pin"}' } })
  assert.deepEqual(await outcomes([gate.request(PRODUCTS)]), [401])
  assert.equal(phone.logins, 1)
  assert.equal(gate.loggedIn, true)
})

test('kicked by an operator, it stays logged out as well', async (t) => {
  if (!set.redis) return t.skip('no redis-server to kick the session in')
  const phone = new Phone(set.simulator, 'kicked')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  const script = ['redis/fence.lua', 'redis/text_of.lua', 'stores/lua/terminate.lua']
    .map((file) => fs.readFileSync(path.join(ROOT, 'service', file), 'utf8')).join('')
  const key = `minigate:session:${phone.kept.id.split('.')[0]}`
  const deadline = String(Date.now() + 60000)
  assert.match(await set.redis.command('EVAL', script, '1', key, deadline, 'kicked'), /ended/)
  assert.deepEqual(await outcomes(times(3, () => gate.request(PRODUCTS))), times(3, () => 'session_kicked'))
  assert.deepEqual(gate.heard, ['login', 'kicked:session_kicked'])
  assert.equal(phone.launch(set.wire.url).stopped, 'session_kicked')
  assert.equal(phone.logins, 1)
  await gate.login()
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
})

test('while the user logs in again, other calls wait for that', async () => {
  const { gates } = await takenOver('waiting')
  await outcomes([gates[0].request(PRODUCTS)])
  const login = gates[0].login()
  assert.deepEqual(await outcomes(times(5, () => gates[0].request(PRODUCTS))), times(5, () => 200))
  await login
})
