/** The admin API's wire over an AdminState; the page itself is the running service's, headers and all. */
'use strict'

const http = require('node:http')
const { AdminState, APPS, overview, settings } = require('./admin_state.js')

const BY = 'alice'

class Refusal extends Error {
  constructor(status, code, error, msg, data = null) {
    super(msg)
    Object.assign(this, { status, answer: { code, error, msg, data } })
  }
}

const notFound = () => new Refusal(404, 40401, 'user_not_found', '没有这个用户')

/** `token` opens it; `pages` is the URL of a service that serves the page. */
async function startFakeAdmin({ pages, token }) {
  const state = new AdminState()
  const server = http.createServer((request, response) => {
    answer(request, response).catch((fault) => response.destroy(fault))
  })

  async function answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://fake')
    const isPage = pathname === '/admin' || !pathname.startsWith('/admin/') || pathname.startsWith('/admin/page/')
    if (isPage) return pass(request, response)
    state.asked.push(`${request.method} ${pathname}`)
    if (state.away) return request.socket.destroy()
    if (state.proxyFault) return response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>502 Bad Gateway</h1>')
    const requestId = `fake-${state.asked.length}`
    const [status, body] = await outcome(request, pathname, searchParams)
    const headers = { 'Content-Type': 'application/json', 'X-Request-ID': requestId, 'Cache-Control': 'no-store' }
    response.writeHead(status, headers).end(JSON.stringify(status === 200 ? body : { ...body, requestId }))
  }

  async function outcome(request, path, query) {
    try {
      if (state.revoked || request.headers.authorization !== `Bearer ${token}`) throw new Refusal(403, 40302, 'operator_token_refused', '访问凭证无效')
      if (state.error) throw new Refusal(...state.error)
      const body = await read(request)
      return [200, { code: 0, msg: 'ok', data: await route(request.method, path.slice('/admin/'.length), query, body) }]
    } catch (fault) {
      if (!(fault instanceof Refusal)) throw fault
      return [fault.status, fault.answer]
    }
  }

  async function route(method, path, query, body) {
    const [noun, id, act] = path.split('/').map(decodeURIComponent)
    if (noun === 'users' && id) return ofUser(method, id, act, body)
    if (method === 'POST' && path === 'sessions/end') return endSessions(body)
    const get = { users: find, overview: () => overview(state), settings: () => ({ settings: settings() }), events, 'sessions/count': count }[path]
    if (!get) throw new Refusal(404, 40400, 'not_found', '没有这个地址')
    return get(query)
  }

  function find(query) {
    const [[field, value]] = [...query].filter(([name]) => !['limit', 'after'].includes(name))
    const openids = state.identities.filter((one) => one[field] === value).map(({ user }) => user)
    const found = state.users.filter((user) =>
      field === 'nickname' ? user.nickname.startsWith(value) : field === 'phone' ? user.number === value : field === 'id' ? user.id === value : openids.includes(user.id))
    const from = Number(query.get('after') || 0)
    const end = from + Number(query.get('limit'))
    return { users: found.slice(from, end), next: end < found.length ? String(end) : null }
  }

  function ofUser(method, id, act, body) {
    const user = state.users.find((one) => one.id === id)
    if (!user) throw notFound()
    const mine = (session) => session.user === id
    if (method === 'GET') {
      const without = ({ user: _, ...rest }) => rest
      const details = { user, identities: state.identities.filter(mine).map(without), sessions: state.sessions.filter(mine).map(without), events: state.events.filter(mine).slice(0, 20) }
      return { ...details, why: state.why }
    }
    if (method === 'DELETE') {
      state.users = state.users.filter((one) => one !== user)
      state.sessions = state.sessions.filter((one) => !mine(one))
      state.record('account_deleted', { user: id, by: BY })
      return { deleted: true }
    }
    const acts = {
      kick: () => ({ ended: kick(id, body) }),
      ban: () => {
        user.ban = { at: Math.floor(Date.now() / 1000), until: body.until ?? null, reason: body.reason ?? '' }
        state.record('banned', { user: id, by: BY, reason: body.reason })
        return { user, ended: state.end('banned', mine) }
      },
      unban: () => {
        user.ban = null
        state.record('unbanned', { user: id, by: BY })
        return { user }
      },
    }
    return acts[act]()
  }

  function kick(user, { appid, device }) {
    const ended = state.end('kicked', (one) => one.user === user && (!appid || one.appid === appid) && (!device || one.device === device))
    state.record('kicked', { user, appid, device, by: BY })
    return ended
  }

  function endSessions({ appid, device, before = Date.now() }) {
    state.end('kicked', (one) => (!appid || one.appid === appid) && (!device || one.device === device) && one.issuedAt < before)
    for (const one of appid ? [appid] : APPS) state.ended.add(one)
    state.record('sessions_ended', { appid, device, by: BY })
    return { before, holdsFrom: Date.now() + 2000 }
  }

  function count(query) {
    const appid = query.get('appid')
    if (!APPS.includes(appid)) throw new Refusal(400, 40004, 'unknown_appid', '未知的 appid')
    if (query.get('device') && query.get('device') !== 'default') {
      throw new Refusal(400, 40000, 'invalid_request', '请求参数有误：device', { field: 'device', why: 'must be one of DEVICE_CLASSES' })
    }
    if (state.untold) throw new Refusal(503, 50300, 'session_store_unavailable', '会话服务暂不可用')
    return { count: overview(state).liveSessions.find((one) => one.appid === appid).count, how: 'an estimate, to about one in a hundred' }
  }

  function events(query) {
    const matching = state.events.filter(({ user, event, at }) =>
      (!query.get('user') || user === query.get('user')) && (!query.get('event') || event === query.get('event')) && at >= Number(query.get('since') || 0))
    const from = query.get('before') ? matching.findIndex(({ id }) => id === query.get('before')) + 1 : 0
    const page = matching.slice(from, from + Number(query.get('limit')))
    return { events: page, next: from + page.length < matching.length ? page[page.length - 1].id : null }
  }

  async function pass(request, response) {
    const reply = await fetch(pages + request.url, { method: request.method })
    const headers = Object.fromEntries([...reply.headers].filter(([name]) => !['connection', 'content-length', 'keep-alive'].includes(name)))
    response.writeHead(reply.status, headers).end(Buffer.from(await reply.arrayBuffer()))
  }

  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const stop = () => new Promise((done) => {
    server.close(done)
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${server.address().port}`, token, state, stop }
}

async function read(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return parts.length ? JSON.parse(Buffer.concat(parts)) : {}
}

module.exports = { startFakeAdmin }
