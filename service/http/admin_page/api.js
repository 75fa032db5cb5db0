/** The admin API. The operator's secret is in this variable and nowhere else. */

import { locale } from './language.js'

const TIMEOUT_MS = 10000
let secret = ''
let onRefused = () => {}

/** An answer that is an error, or none: then `error` is "no_answer". */
export class ApiError extends Error {
  constructor({ status = 0, error = 'no_answer', message = '', data = null, requestId = '', retryAfter = 0 } = {}) {
    super(message || error)
    Object.assign(this, { status, error, data, requestId, retryAfter })
  }

  /** Whether it says that nobody is there, rather than no. */
  get isAway() {
    return this.error === 'no_answer' || this.error === 'not_ours'
  }
}

export const use = (given) => {
  secret = given
}

export const forget = () => use('')

/** `listener` hears when the secret is no longer taken. */
export function whenRefused(listener) {
  onRefused = listener
}

/** The `data` of an answer; raises ApiError. `query`: what is empty is left out. */
export async function ask(method, path, { query = {}, body } = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== '' && value !== null && value !== undefined)
  const search = asked.length ? `?${new URLSearchParams(asked)}` : ''
  const used = secret
  const answer = await send(method, `/admin/${path}${search}`, body)
  // What comes after the page was locked is nobody's.
  if (used !== secret) throw new ApiError({ error: 'locked' })
  if (answer.fault && answer.fault.error === 'operator_token_refused') {
    forget()
    onRefused(answer.fault)
  }
  if (answer.fault) throw answer.fault
  return answer.data
}

async function send(method, url, body) {
  const headers = { Authorization: `Bearer ${secret}`, 'Accept-Language': locale() }
  if (body) headers['Content-Type'] = 'application/json'
  const given = { method, headers, body: body && JSON.stringify(body), cache: 'no-store', credentials: 'omit' }
  let reply, text
  try {
    reply = await fetch(url, { ...given, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) })
    text = await reply.text()
  } catch (_) {
    return { fault: new ApiError() }
  }
  return read(reply, text)
}

function read(reply, text) {
  const requestId = reply.headers.get('X-Request-ID') || ''
  try {
    const { code, error, msg, data, requestId: told } = JSON.parse(text)
    if (reply.ok && code === 0) return { data }
    if (typeof error !== 'string') throw new SyntaxError('not the envelope of this service')
    const retryAfter = Number(reply.headers.get('Retry-After')) || 0
    const about = { status: reply.status, error, message: msg, data, requestId: told || requestId, retryAfter }
    return { fault: new ApiError(about) }
  } catch (_) {
    return { fault: new ApiError({ status: reply.status, error: 'not_ours', requestId }) }
  }
}
