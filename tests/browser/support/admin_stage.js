/**
 * Where the tests of the admin page play: the running service, or the same wire over a made-up
 * state. A stage has `url`, `token` and people; on the made-up one `state` can be changed, on the
 * running service `demo` has the demo page.
 */
'use strict'

const { startFakeAdmin } = require('./fake_admin.js')
const { startService } = require('./service.js')

const TOKEN = 'c3f1a90b7d52e8466f0a1b9c8d7e2354'
const DEVICES = ['phone', 'pc']
const VARIABLES = { ADMIN_TOKENS: `alice:${TOKEN}`, DEVICE_CLASSES: DEVICES.join(',') }

/** The running service; one without the admin API has the made-up state for it. */
async function openStage() {
  const service = await startService(VARIABLES)
  const reply = await fetch(`${service.url}/admin/overview`, { headers: { Authorization: `Bearer ${TOKEN}` } })
  if (reply.status === 404) return madeUp(service)
  return { url: service.url, demo: service.url, token: TOKEN, person: (nickname) => newcomer(service, nickname), stop: () => service.stop() }
}

async function openMadeUpStage() {
  return madeUp(await startService(VARIABLES))
}

async function madeUp(service) {
  const fake = await startFakeAdmin({ pages: service.url, token: TOKEN })
  const { state } = fake
  const person = async (nickname) => {
    const id = state.add({ nickname, apps: ['wx0123456789abcdef'], devices: DEVICES })
    const { openid, unionid } = state.identities.find(({ user }) => user === id)
    const latest = (device) => state.sessions.filter((one) => one.user === id && one.device === device).pop()
    /** The error that the next request of a device brings; "" while all is well. */
    const error = async (device) => ({ live: '', kicked: 'session_kicked', banned: 'user_banned' })[latest(device)?.state] ?? 'session_expired'
    const logIn = async (device) => state.logIn(id, 'wx0123456789abcdef', device) || ''
    return { id, nickname, openid, unionid, error, logIn }
  }
  const stop = async () => {
    await fake.stop()
    await service.stop()
  }
  return { ...fake, person, stop }
}

let people = 0

/** Somebody who logs in for the first time, on all devices. */
async function newcomer(service, nickname) {
  const name = `admin-guest-${process.pid}-${(people += 1)}`
  const held = {}
  const ask = async (method, path, { sessionid, body, base = service.url } = {}) => {
    const headers = { 'Content-Type': 'application/json', ...(sessionid && { sessionid }) }
    const reply = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) })
    return { headers: reply.headers, ...(await reply.json().catch(() => ({}))) }
  }
  const logIn = async (device) => {
    const { code } = await ask('POST', '/sim/login', { base: service.simulatorUrl, body: { user: name } })
    const { error = '', data } = await ask('POST', '/login', { body: { code, device } })
    if (!error) held[device] = data
    return error
  }
  const error = async (device) => (await ask('GET', '/session', { sessionid: held[device].sessionid })).error || ''
  for (const device of DEVICES) await logIn(device)
  const { sessionid, user } = held[DEVICES[0]]
  await ask('PATCH', '/me', { sessionid, body: { nickname } })
  const verified = await ask('GET', '/verify', { sessionid })
  const openid = verified.headers.get('X-Auth-Openid')
  return { id: user.id, nickname, openid, unionid: verified.headers.get('X-Auth-Unionid'), error, logIn }
}

module.exports = { openMadeUpStage, openStage }
