/** The phone number button: the login code is there before its callback. */
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { pause } = require('./support/service.js')
const { PRODUCTS, outcomes, stage } = require('./support/stage.js')

const set = stage()

/** What the button's event brings. */
const pressed = async (user, phone) => ({ code: await set.simulator.phoneCode(user, phone), errMsg: 'getPhoneNumber:ok' })

test('a login by phone uses the code got before the button was pressed', async () => {
  const phone = new Phone(set.simulator, 'ann')
  const gate = phone.launch(set.wire.url)
  await gate.prepareLogin()
  const detail = await pressed('ann', '13800000001')
  assert.equal(phone.logins, 1)
  const { user, isNewUser } = await gate.loginByPhone(detail)
  assert.equal(phone.logins, 1, 'no wx.login in the callback')
  assert.deepEqual([user.phone, isNewUser], ['138****0001', true])
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.equal(set.wire.to('/login/phone').length, 1)
  assert.equal(set.wire.to('/login').length, 0)
})

test('a silent login meanwhile leaves the prepared code alone, and both logins happen', async () => {
  const phone = new Phone(set.simulator, 'ben')
  const gate = phone.launch(set.wire.url)
  await gate.prepareLogin()
  const silent = gate.request(PRODUCTS)
  const { user } = await gate.loginByPhone(await pressed('ben', '13800000002'))
  assert.equal(user.phone, '138****0002')
  assert.deepEqual(await outcomes([silent]), [200])
  assert.equal(phone.logins, 2)
  assert.equal(gate.stopped, null)
})

test('without prepareLogin, or long after it, a new login code is got', async (t) => {
  const phone = new Phone(set.simulator, 'cleo')
  const gate = phone.launch(set.wire.url)
  await gate.loginByPhone(await pressed('cleo', '13800000003'))
  assert.equal(phone.logins, 1)
  await gate.prepareLogin()
  const now = Date.now() + 4 * 60 * 1000 + 1
  const clock = t.mock.method(Date, 'now', () => now)
  await gate.loginByPhone(await pressed('cleo'))
  clock.mock.restore()
  assert.equal(phone.logins, 3)
})

test('a prepared code that WeChat no longer takes is replaced, the phone code is not', async () => {
  const phone = new Phone(set.simulator, 'dora')
  const gate = phone.launch(set.wire.url)
  await gate.prepareLogin()
  await set.simulator.fault('errcode', { errcode: 40029, times: 1, endpoint: '/sns/jscode2session' })
  const { user } = await gate.loginByPhone(await pressed('dora', '13800000004'))
  assert.equal(user.phone, '138****0004')
  assert.equal(phone.logins, 2)
})

test('a lost answer is got again with the same codes', async () => {
  const phone = new Phone(set.simulator, 'eve')
  const gate = phone.launch(set.wire.url)
  await gate.prepareLogin()
  set.wire.fault('/login/phone', { cut: true })
  const { user } = await gate.loginByPhone(await pressed('eve', '13800000005'))
  assert.equal(user.phone, '138****0005')
  assert.equal(phone.logins, 1)
})

test('a refusal, or a code that is no good, changes nothing', async () => {
  const phone = new Phone(set.simulator, 'finn')
  const gate = phone.launch(set.wire.url)
  await gate.login()
  const { id } = phone.kept
  const attempts = [
    gate.loginByPhone({ errMsg: 'getPhoneNumber:fail user deny' }),
    gate.loginByPhone({ code: 'f'.repeat(64) }),
  ]
  assert.deepEqual(await outcomes(attempts), ['phone_refused', 'phone_code_invalid'])
  assert.equal(phone.kept.id, id)
  assert.equal(set.wire.to('/login/phone').length, 1)
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
})

test('a button pressed twice makes two logins, one after the other', async () => {
  const phone = new Phone(set.simulator, 'ida')
  const gate = phone.launch(set.wire.url)
  const details = [await pressed('ida', '13800000008'), await pressed('ida', '13800000008')]
  set.wire.fault('/login/phone', { delay: 200 })
  const silent = gate.request(PRODUCTS)
  await pause(0)
  const answers = await Promise.all(details.map((detail) => gate.loginByPhone(detail)))
  const [first, second] = set.wire.to('/login/phone')
  assert.ok(first.ended <= second.began, 'they overlap')
  assert.equal(phone.kept.id, answers[1].sessionid)
  assert.equal((await gate.request(PRODUCTS)).statusCode, 200)
  assert.equal((await silent).statusCode, 200)
  assert.equal(gate.stopped, null)
})

test('a call that waits for a phone login that fails logs in by itself', async () => {
  const phone = new Phone(set.simulator, 'hal')
  const gate = phone.launch(set.wire.url)
  const login = gate.loginByPhone({ code: 'f'.repeat(64) })
  const calls = [pause(0).then(() => gate.request(PRODUCTS)), pause(0).then(() => gate.request(PRODUCTS))]
  assert.deepEqual(await outcomes([login, ...calls]), ['phone_code_invalid', 200, 200])
  assert.equal(phone.logins, 2)
})

test("a wx.login that fails in prepareLogin is made up for in the button's callback", async () => {
  const phone = new Phone(set.simulator, 'gus')
  const { login } = phone.wx
  phone.wx.login = ({ fail }) => setTimeout(() => fail({ errMsg: 'login:fail' }))
  const gate = phone.launch(set.wire.url)
  await gate.prepareLogin()
  phone.wx.login = login
  await gate.loginByPhone(await pressed('gus', '13800000007'))
  assert.equal(phone.logins, 1)
})
