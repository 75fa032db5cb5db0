/** The id is in the header of everything that is sent, and in no URL. */
'use strict'

const assert = require('node:assert/strict')
const path = require('node:path')
const { test } = require('node:test')

const { Phone } = require('./support/phone.js')
const { ROOT } = require('./support/service.js')
const { PRODUCTS, endSession, outcomes, stage } = require('./support/stage.js')

const PICTURE = path.join(ROOT, 'service/http/routes/default-avatar.png')
const AVATAR = { url: '/me/avatar', filePath: PICTURE, name: 'avatar' }
const set = stage()

const launched = async (user, options) => {
  const phone = new Phone(set.simulator, user)
  const gate = phone.launch(set.wire.url, options)
  await gate.login()
  set.wire.forget()
  return { phone, gate }
}

test('request, uploadFile, downloadFile and connectSocket carry the header', async () => {
  const { phone, gate } = await launched('carried')
  await gate.request({ url: '/session', header: { 'X-Mine': 'kept' } })
  const uploaded = await gate.uploadFile(AVATAR)
  assert.equal(uploaded.statusCode, 200, uploaded.data)
  const { avatar } = JSON.parse(uploaded.data).data
  const downloaded = await gate.downloadFile({ url: avatar })
  assert.equal(downloaded.statusCode, 200)
  assert.match(downloaded.tempFilePath, /^wxfile:/)
  const socket = await gate.connectSocket({ url: set.wire.url.replace('http', 'ws') + '/socket' })
  await new Promise((done) => socket.onOpen(done))
  const sent = set.wire.requests.map(({ method, url }) => `${method} ${url}`)
  assert.deepEqual(sent, ['GET /session', 'POST /me/avatar', `GET ${avatar}`, 'UPGRADE /socket'])
  const [handle, secret] = phone.kept.id.split('.')
  for (const { headers, url } of set.wire.requests) {
    assert.equal(headers.sessionid, phone.kept.id)
    assert.ok(!url.includes(handle) && !url.includes(secret), url)
  }
  assert.equal(set.wire.requests[0].headers['x-mine'], 'kept')
})

test('uploads and downloads log in again as requests do', async () => {
  for (const send of [(gate) => gate.uploadFile(AVATAR), (gate) => gate.downloadFile({ url: '/me/export' })]) {
    const { phone, gate } = await launched('again')
    await endSession(set, phone.kept.id)
    assert.deepEqual(await outcomes([send(gate)]), [200])
    assert.equal(phone.logins, 2)
    assert.equal(set.wire.to('/login').length, 1)
  }
})

test('appid, device and the headers of every request are sent', async () => {
  const phone = new Phone(set.simulator, 'options')
  const header = { 'Accept-Language': 'en' }
  const gate = phone.launch(set.wire.url, { appid: 'wx0000000000000000', header })
  const reason = await gate.request(PRODUCTS).catch((error) => error)
  assert.deepEqual([reason.error, reason.message], ['unknown_appid', 'This appid is not configured here'])
  const device = await phone.launch(set.wire.url, { device: 'pc' }).login().catch((error) => error)
  assert.deepEqual([device.error, device.data.field], ['invalid_request', 'device'])
})

test('onTask hands over the task', async () => {
  const { gate } = await launched('task')
  const tasks = []
  await gate.request({ url: '/session', onTask: (task) => tasks.push(task) })
  assert.equal(typeof tasks[0].abort, 'function')
})
