/** The service with AUTH_ERROR_STATUS=200, for clients that read bodies only: the same rules hold. */
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { PRODUCTS, endSession, outcomes, stage, times } = require('./support/stage.js')

const set = stage({ AUTH_ERROR_STATUS: '200' })

test('a dead session is seen in a 200', async () => {
  const phone = new Phone(set.simulator, 'dead')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  await endSession(set, phone.kept.id)
  set.wire.forget()
  const answers = await Promise.all(times(10, () => gate.request(PRODUCTS)))
  assert.deepEqual(answers.map(({ data }) => data.code), times(10, () => 0))
  assert.equal(phone.logins, 2)
  assert.deepEqual(set.wire.to(PRODUCTS.url).map(({ status }) => status), times(20, () => 200))
})

for (const [what, strip] of [['', []], [', in the body alone', ['www-authenticate']]]) {
  test(`a replaced session is seen in a 200${what}`, async () => {
    const phones = [0, 1].map(() => new Phone(set.simulator, `replaced${strip.length}`))
    const gates = phones.map((phone) => phone.launch(set.wire.url))
    await gates[0].login()
    await gates[1].login()
    set.wire.fault(PRODUCTS.url, { strip }, 10)
    assert.deepEqual(await outcomes(times(5, () => gates[0].request(PRODUCTS))), times(5, () => 'session_replaced'))
    assert.equal(gates[0].stopped, 'session_replaced')
    assert.deepEqual(phones.map(({ logins }) => logins), [1, 1])
    set.wire.heal()
    assert.equal((await gates[1].request(PRODUCTS)).data.code, 0)
  })
}

test('a code of the same number in another back end means nothing', async () => {
  const phone = new Phone(set.simulator, 'elsewhere')
  const gate = phone.launch(set.wire.url)
  const body = '{"code": 40101, "error": "coupon_expired"}'
  set.wire.fault(PRODUCTS.url, { answer: { status: 200, headers: {}, body } })
  assert.equal((await gate.request(PRODUCTS)).data.error, 'coupon_expired')
  assert.equal(phone.logins, 1)
})
