/** A service of two mini-programs as an admin API would tell of it, with a Redis that was away for a while. */
'use strict'

const APPS = ['wx0123456789abcdef', 'wxfedcba9876543210']
const COLUMNS = [
  'at', 'checksOk', 'checksRefused', 'refusedMissing', 'refusedReplaced', 'refusedExpired', 'refusedKicked', 'refusedBanned', 'refusedMalformed',
  'unavailable', 'loginsOk', 'loginsRefused', 'loginsShared', 'replaced', 'wechatCalls', 'wechatSeconds', 'wechatFailures',
  'redisCalls', 'redisSeconds', 'redisFailures', 'sqlCalls', 'sqlSeconds', 'sqlFailures',
]
const STEP = 10
const ROWS = 360
const OUTAGE = { from: 130, to: 152 } // rows

/** How much of each there was in the step of that number. */
function happened(row) {
  const wave = 1 + 0.35 * Math.sin(row / 40) + 0.08 * Math.sin(row * 1.7)
  const away = row >= OUTAGE.from && row < OUTAGE.to
  const checks = 1180 * wave
  const login = 46 * wave * (row >= OUTAGE.to && row < OUTAGE.to + 18 ? 1.9 : 1)
  return {
    checksOk: away ? 0 : checks * 0.97, checksRefused: away ? 0 : checks * 0.02, refusedMissing: checks * 0.002, refusedReplaced: away ? 0 : checks * 0.007,
    refusedExpired: away ? 0 : checks * 0.009, refusedKicked: row % 60 === 0 ? 3 : 0, refusedBanned: row % 90 === 0 ? 2 : 0, refusedMalformed: row % 45 === 0 ? 4 : 0,
    unavailable: away ? checks * 0.97 : 0, loginsOk: away ? 0 : login, loginsRefused: 1.2 * wave, loginsShared: 4, replaced: 7,
    wechatCalls: login, wechatSeconds: login * (0.11 + 0.03 * Math.sin(row / 11)), wechatFailures: row % 70 === 3 ? 2 : 0,
    redisCalls: checks, redisSeconds: checks * (away ? 0.4 : 0.0007 + 0.0002 * Math.sin(row / 9)), redisFailures: away ? 220 : 0,
    sqlCalls: login, sqlSeconds: login * (0.0021 + 0.0004 * Math.sin(row / 7)), sqlFailures: 0,
  }
}

function history(now) {
  const totals = Object.fromEntries(COLUMNS.map((name) => [name, 0]))
  const rows = []
  for (let row = 0; row < ROWS; row += 1) {
    for (const [name, count] of Object.entries(happened(row))) totals[name] += count
    totals.at = atRow(now, row)
    rows.push(COLUMNS.map((name) => (name.endsWith('Seconds') || name === 'at' ? totals[name] : Math.round(totals[name]))))
  }
  return { step: STEP, columns: COLUMNS, rows }
}

const atRow = (now, row) => now - (ROWS - 1 - row) * STEP * 1000

function overview(state) {
  const at = Date.now()
  const component = (name, reason = '') => ({ component: name, state: reason ? 'down' : 'ready', reason, since: reason ? state.illSince : ['redis', 'database'].includes(name) ? at - 86400000 * 3 : null, checkedAt: ['redis', 'database'].includes(name) ? at - 2000 : null })
  const past = { what: 'redis', since: atRow(at, OUTAGE.from), until: atRow(at, OUTAGE.to), why: 'unreachable', failures: 4840 }
  const present = { what: 'redis', since: state.illSince, until: null, why: state.ill, failures: 312 }
  const told = {
    at,
    service: { version: '0.1.0', environment: 'production', workers: 2, startedAt: Math.floor(at / 1000) - 86400 * 3 - 7200, stopping: state.stopping },
    components: [component('redis', state.ill), component('database'), component('wechat'), component('avatars')],
    liveSessions: APPS.map((appid) => ({ appid, count: state.sessions.filter((one) => one.appid === appid && one.state === 'live').length + (state.ended.has(appid) ? 0 : 51200) })),
    outages: state.ill ? [past, present] : [past],
    history: history(at),
  }
  // As the service leaves out what it cannot know.
  return state.untold ? { at, service: told.service, components: told.components } : told
}

const SETTINGS = [
  ['ENVIRONMENT', 'production', false, 'development or production'],
  ['PORT', '8000', true, 'where it listens'],
  ['REDIS_URL', 'rediss://redis.internal:6380/0', false, 'where sessions are kept'],
  ['SESSION_TTL', '7200', true, 'seconds that a session lives'],
  ['LOGIN_COALESCE_MS', '3000', true, 'logins of one user within it share a session'],
  ['TRUSTED_PROXIES', '10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 127.0.0.0/8, fc00::/7, ::1/128', true, 'networks that these proxies are in, comma-separated'],
  ['WECHAT_SECRET', null, false, 'its AppSecret', true],
  ['INTERNAL_TOKEN', null, true, 'opens /internal/access-token to your other back ends; 32 characters', false],
]

function settings() {
  return SETTINGS.map(([name, value, isDefault, description, set]) =>
    set === undefined ? { name, value, secret: false, isDefault, description } : { name, value, secret: true, set, isDefault, description })
}

class AdminState {
  constructor() {
    Object.assign(this, { users: [], identities: [], sessions: [], events: [], ended: new Set(), asked: [] })
    /** What goes wrong: the reason of a Redis that is down; figures that nobody has; nobody answers; HTML from a proxy; a token that is no more; an error. */
    Object.assign(this, { ill: '', illSince: 0, stopping: false, untold: false, away: false, proxyFault: false, revoked: false, error: null, why: [] })
  }

  add({ nickname, phone = null, number = '', avatar = '/uploads/default-avatar.png', apps = APPS, devices = ['default'] }) {
    const place = (this.added = (this.added || 0) + 1)
    const id = `u${String(place).padStart(4, '0')}Vb3kQw9Zt2Xs`
    const now = Math.floor(Date.now() / 1000)
    this.users.push({ id, nickname, avatar, phone, number, ban: null, createdAt: now - 86400 * (40 + place), updatedAt: now - 7200 })
    this.identities.push({ user: id, appid: APPS[0], openid: `o6_bmjrPTlm6_2sgVt7hMZOPf${place}`, unionid: `oCaBx${place}` })
    for (const appid of apps) for (const device of devices) this.logIn(id, appid, device)
    return id
  }

  logIn(user, appid, device) {
    const handle = `h${this.sessions.length}`.padEnd(22, 'Hd7')
    const standing = this.users.find(({ id }) => id === user)
    const fields = { user, handle, appid, device, address: '203.0.113.0' }
    if (standing.ban) return this.record('login_refused', { ...fields, reason: 'banned' })
    this.sessions.push({ user, handle, appid, device, issuedAt: Date.now() - 1800000, expiresIn: 5400, state: 'live', keyLost: false })
    return this.record('login', fields)
  }

  record(event, fields) {
    const id = `${Date.now()}-${this.events.length}`
    this.events.unshift({ id, at: Date.now(), event, requestId: `req-${this.events.length}`, ...fields })
  }

  /** End the live ones that match; returns how many. */
  end(state, matches) {
    const live = this.sessions.filter((session) => session.state === 'live' && matches(session))
    for (const session of live) session.state = state
    return live.length
  }
}

module.exports = { APPS, AdminState, overview, settings }
