/**
 * MiniGate's client for mini-programs: logs in when needed, once however many
 * calls want it, keeps the session id, and never fights over the account with
 * another device. Plain CommonJS of ES2017, no dependency; wx, uni-app and
 * Taro alike.
 */
'use strict'

const CODE_LIFE_MS = 4 * 60 * 1000 // WeChat's login codes live five minutes
const LOGIN_TIMEOUT_MS = 10000
const LONGEST_QUIET_MS = 60000
const DEAD = /^(session_(missing|replaced|expired|kicked|malformed)|login_too_old)$/
/** After these only the user may log in again; the event that tells the app so. */
const STOPS = {
  session_replaced: 'replaced',
  session_kicked: 'kicked',
  user_banned: 'banned',
  wechat_user_blocked: 'banned',
}

/** What a call rejects with; `error` is a name of the service's error table, or one of the client's. */
class GateError extends Error {
  constructor(error, message, details) {
    super(message || error)
    this.name = 'GateError'
    this.error = error
    Object.assign(this, { code: 0, status: 0, data: null, requestId: '', retryAfterMs: 0 }, details)
  }
}

/** Make a platform of an API in the manner of `wx`; `loginOptions` go to its login(). */
function platformOf(api, loginOptions) {
  const promised = (name) => (options) =>
    new Promise((success, fail) => {
      const { onTask } = options
      const plain = Object.assign({}, options, { success, fail })
      delete plain.onTask
      const task = api[name](plain)
      if (task && typeof task.catch === 'function') task.catch(fail) // Taro: a promise as well
      if (onTask && task) onTask(task)
    })
  return {
    request: promised('request'),
    uploadFile: promised('uploadFile'),
    downloadFile: promised('downloadFile'),
    // With a callback uni gives the task itself; without one, a promise.
    connectSocket: (options) => api.connectSocket(Object.assign({ complete() {} }, options)),
    login: () => promised('login')(Object.assign({}, loginOptions)).then((res) => res.code),
    load: (key) => api.getStorageSync(key),
    save: (key, value) => api.setStorageSync(key, value),
  }
}

function createGate(options) {
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  const homes = [baseUrl].concat(options.trusted || []).map((home) => home.replace(/\/+$/, ''))
  const platform = options.platform || platformOf(wx)
  const storageKey = options.storageKey || 'minigate'
  const retries = options.retries === undefined ? 2 : options.retries
  const longestWait = options.longestWaitMs === undefined ? 5000 : options.longestWaitMs
  const listeners = {}
  let kept = load() // {id, stop, ending}: the session, or why there is none and which one is still to be ended
  let loggingIn = null // the login under way, for all who wait for it
  let prepared = null // a login code got in advance, for the phone number button
  let quiet = null // {until, error}: a login has just failed, so no silent one yet

  // --- what is kept, and who is told

  function load() {
    try {
      const found = platform.load(storageKey)
      return found && typeof found === 'object' ? found : {}
    } catch (_) {
      return {}
    }
  }

  function keep(next) {
    kept = next
    try {
      platform.save(storageKey, kept)
    } catch (_) {
      // Full: this launch goes on from memory, and the next one logs in.
    }
  }

  function on(event, listener) {
    const all = (listeners[event] = listeners[event] || [])
    all.push(listener)
    return () => {
      const place = all.indexOf(listener)
      if (place >= 0) all.splice(place, 1)
    }
  }

  function emit(event, detail) {
    for (const listener of (listeners[event] || []).slice()) {
      try {
        listener(detail)
      } catch (fault) {
        setTimeout(() => {
          throw fault // the listener's fault, for the console, and not the call's
        })
      }
    }
  }

  /** Stay logged out until the user acts: a login from here would throw the other device out. */
  function stop(error) {
    const told = kept.stop && kept.stop.error === error.error
    const { code, status, data, requestId, message } = error
    keep({ stop: { error: error.error, message, code, status, data, requestId }, ending: kept.ending })
    if (!told) emit(STOPS[error.error], error)
  }

  // --- reading answers

  function headerOf(res, name) {
    const headers = res.header || {}
    const found = Object.keys(headers).find((key) => key.toLowerCase() === name)
    return found ? String(headers[found]) : ''
  }

  function bodyOf(res) {
    try {
      const body = typeof res.data === 'string' ? JSON.parse(res.data) : res.data // text: uploadFile
      return body && typeof body === 'object' ? body : {}
    } catch (_) {
      return {}
    }
  }

  function failure(res, name) {
    const body = bodyOf(res)
    return new GateError(name || body.error || 'http_' + res.statusCode, body.msg || body.title, {
      code: body.code || 0,
      status: res.statusCode,
      data: body.data || null,
      requestId: body.requestId || headerOf(res, 'x-request-id'),
    })
  }

  /**
   * The error by which the service refused the session or the user; null if it did not.
   *
   * Read from the header, which gateways keep where they drop the body; and from the body,
   * also of a 200: AUTH_ERROR_STATUS=200 sends that.
   */
  function refusalIn(res) {
    const told = /minigate".*error="(\w+)"/.exec(headerOf(res, 'www-authenticate'))
    const body = bodyOf(res)
    const name = told ? told[1] : body.code >= 40100 && body.code < 40400 ? body.error : ''
    return DEAD.test(name) || STOPS[name] ? failure(res, name) : null
  }

  function offline(cause) {
    const error = new GateError('offline', cause && (cause.errMsg || cause.message))
    emit('offline', error)
    return error
  }

  /** How long a 503 or 429 asks to wait, in milliseconds. */
  function waitAsked(res) {
    const seconds = res ? Number(headerOf(res, 'retry-after')) : 0
    return (seconds > 0 ? seconds : 1) * 1000
  }

  /** Wait somewhat longer than asked, so that not all clients come back at once. */
  function pause(ms) {
    return new Promise((done) => setTimeout(done, ms * (1 + Math.random() / 2)))
  }

  // --- logging in

  async function freshCode() {
    const code = await platform.login().catch((cause) => {
      throw new GateError('wx_login_failed', cause && (cause.errMsg || cause.message))
    })
    if (!code) throw new GateError('wx_login_failed', 'no code')
    return code
  }

  /** The prepared code, if it is still good, else a new one. */
  async function preparedCode() {
    const { at, code } = prepared || { at: 0, code: null }
    prepared = null
    return (Date.now() - at < CODE_LIFE_MS && (await code)) || freshCode()
  }

  function randomKey() {
    const part = () => Math.random().toString(36).slice(2)
    return Date.now().toString(36) + part() + part()
  }

  /** Send one login until it is answered, at most `retries` times more. */
  async function attempt(path, fields, firstCodes) {
    const sent = Object.assign({}, options.appid && { appid: options.appid }, fields)
    if (options.device) sent.device = options.device
    let codes = await firstCodes()
    let key = randomKey()
    for (let turn = 0; ; turn += 1) {
      const header = { 'content-type': 'application/json', 'Idempotency-Key': key }
      let error
      const res = await platform
        .request({
          url: baseUrl + path,
          method: 'POST',
          data: Object.assign({}, sent, codes),
          header: Object.assign({}, options.header, header),
          timeout: LOGIN_TIMEOUT_MS,
        })
        .catch((cause) => {
          error = offline(cause) // if only the answer was lost, the same code and key get it again
        })
      const body = res ? bodyOf(res) : {}
      if (res && body.code === 0 && body.data && body.data.sessionid) return body.data
      error = error || failure(res)
      const hint = (error.data && error.data.retry) || ''
      const passing = !res || hint || headerOf(res, 'retry-after') || (!body.error && res.statusCode > 500)
      const wait = waitAsked(res)
      if (wait > longestWait) error.retryAfterMs = wait
      if (!passing || error.retryAfterMs || turn >= retries) throw error
      if (hint === 'new_code') {
        const code = await freshCode()
        codes = Object.assign({}, codes, codes.loginCode ? { loginCode: code } : { code })
        key = randomKey()
      }
      if (!hint || res.statusCode >= 429) await pause(wait)
    }
  }

  /** Make this the login that everybody waits for. */
  function begin(path, fields, firstCodes) {
    loggingIn = attempt(path, fields, firstCodes).then(
      (answer) => {
        loggingIn = quiet = null
        keep({ id: answer.sessionid })
        emit('login', answer)
        return answer
      },
      (error) => {
        loggingIn = null
        const wait = Math.min(error.retryAfterMs || 1000, LONGEST_QUIET_MS)
        if (path === '/login') quiet = { until: Date.now() + wait, error }
        if (STOPS[error.error]) stop(error)
        throw error
      }
    )
    return loggingIn
  }

  /** The same after the login under way, if there is one: it does not carry these fields. */
  async function beginNext(path, fields, firstCodes) {
    while (loggingIn) await loggingIn.catch(() => {})
    return begin(path, fields, firstCodes)
  }

  /** Log in because the user wants it, or take part in the login under way. */
  async function login(fields) {
    if (loggingIn && !fields) return loggingIn
    return beginNext('/login', fields, async () => ({ code: await preparedCode() }))
  }

  /** Get a login code now: when the page with the phone number button appears, not in its callback. */
  function prepareLogin() {
    const code = freshCode().catch(() => null)
    prepared = { at: Date.now(), code }
    return code.then(() => {})
  }

  /** Log in with what the phone number button's event brings: `gate.loginByPhone(e.detail)`. */
  async function loginByPhone(detail, fields) {
    if (!detail || !detail.code) throw new GateError('phone_refused', detail && detail.errMsg)
    const codes = async () => ({ code: detail.code, loginCode: await preparedCode() })
    return beginNext('/login/phone', fields, codes)
  }

  /**
   * Stay logged out from now on. Resolves with whether there was a session left to end.
   *
   * The id is called with no more, but kept until the service has answered, so that the next
   * logout can send it again; or until the next login, which ends that session by itself.
   */
  async function logout() {
    while (loggingIn) await loggingIn.catch(() => {})
    const id = kept.id || kept.ending
    keep({ stop: { error: 'logged_out', message: 'logged out' }, ending: id })
    if (!id) return false
    const header = Object.assign({}, options.header, { sessionid: id })
    const res = await sendPatiently(platform.request, { url: baseUrl + '/logout', method: 'POST', header })
    if (bodyOf(res).code !== 0) throw failure(res)
    if (kept.ending === id) keep({ stop: kept.stop }) // unless there has been a login since
    return bodyOf(res).data.ended
  }

  // --- calls

  /** The id to call with, after a silent login if there is none and nothing forbids it. */
  async function ready() {
    if (loggingIn) {
      const answer = await loggingIn.catch(() => null)
      return answer ? answer.sessionid : ready()
    }
    if (kept.stop) throw new GateError(kept.stop.error, kept.stop.message, kept.stop)
    if (kept.id) return kept.id
    if (quiet && Date.now() < quiet.until) throw quiet.error
    return (await begin('/login', null, async () => ({ code: await freshCode() }))).sessionid
  }

  /** The session id goes to the service and to the back ends that the app trusts, nowhere else. */
  function addressOf(url) {
    if (/^\/(?!\/)/.test(url)) return baseUrl + url
    const known = homes.some((home) => {
      return url.slice(0, home.length) === home && /^([/?#]|$)/.test(url.slice(home.length))
    })
    if (!known) throw new GateError('foreign_url', 'neither baseUrl nor in `trusted`: ' + url)
    return url
  }

  /** Send, and again as long as a 503 or 429 says when to. */
  async function sendPatiently(send, given) {
    for (let turn = 0; ; turn += 1) {
      const res = await send(given).catch((cause) => {
        throw offline(cause)
      })
      const busy = (res.statusCode === 503 || res.statusCode === 429) && headerOf(res, 'retry-after')
      if (!busy || turn >= retries || waitAsked(res) > longestWait) return res
      await pause(waitAsked(res))
    }
  }

  /** A 401 that says nothing, as of wx.downloadFile or behind some gateway: ask the service. */
  async function explained(res, id) {
    const header = Object.assign({}, options.header, { sessionid: id })
    return refusalIn(await sendPatiently(platform.request, { url: baseUrl + '/session', header }))
  }

  /** Send with the session; where it is dead or its login too old, log in once and send once more. */
  async function call(send, given) {
    if (given.success || given.fail || given.complete) {
      throw new GateError('callbacks_given', 'use the promise instead of success, fail and complete')
    }
    const url = addressOf(given.url)
    for (let again = true; ; again = false) {
      const id = await ready()
      const header = Object.assign({}, options.header, given.header, { sessionid: id })
      const res = await sendPatiently(send, Object.assign({}, given, { url, header }))
      const error = refusalIn(res) || (res.statusCode === 401 && (await explained(res, id)))
      if (!error) return res
      if (kept.id === id) {
        // Unless it is another call's session by now.
        if (STOPS[error.error]) stop(error)
        else if (again || error.error !== 'login_too_old') keep({}) // that session is good
      }
      if (!again || !DEAD.test(error.error)) throw error
    }
  }

  return {
    login,
    prepareLogin,
    loginByPhone,
    logout,
    on,
    request: (given) => call(platform.request, given),
    uploadFile: (given) => call(platform.uploadFile, given),
    downloadFile: (given) => call(platform.downloadFile, given),
    /** Resolves with the SocketTask; a handshake that is refused shows in its onError only. */
    async connectSocket(given) {
      const home = (url) => url.replace(/^ws/, 'http') // wss: https, ws: http
      const url = addressOf(home(given.url)).replace(/^http/, 'ws')
      const header = Object.assign({}, options.header, given.header, { sessionid: await ready() })
      return platform.connectSocket(Object.assign({}, given, { url, header }))
    },
    /** What the service knows of the session. */
    async session() {
      const res = await call(platform.request, { url: '/session' })
      if (bodyOf(res).code !== 0) throw failure(res)
      return bodyOf(res).data
    },
    get loggedIn() {
      return Boolean(kept.id)
    },
    /** Why there is no session until the user acts: `session_replaced`, `logged_out`...; or null. */
    get stopped() {
      return kept.stop ? kept.stop.error : null
    },
  }
}

module.exports = { createGate, platformOf, GateError }
