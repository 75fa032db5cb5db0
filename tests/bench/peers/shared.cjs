// What both peers in Node answer, and how they ask WeChat: as shared.py says it.
'use strict'

const { randomBytes } = require('node:crypto')
const { Pool } = require('undici')

const { PORT, REDIS_URL, WECHAT_API_BASE, WECHAT_APPID, WECHAT_SECRET } = process.env
const TTL = 7200
const REQUEST_ID = '0123456789abcdef'
const REFUSAL = '{"code":40102,"error":"session_expired"}'
const FAILURE = '{"code":40001,"error":"login_code_invalid"}'

const wechat = new Pool(WECHAT_API_BASE)

const loginHeaders = { 'Cache-Control': 'no-store', 'X-Request-ID': REQUEST_ID }

const callerHeaders = (session) => ({
  'Cache-Control': 'no-store',
  'X-Request-ID': REQUEST_ID,
  'X-Auth-Request-User': session.user,
  'X-Auth-Openid': session.openid,
  'X-Auth-Appid': session.appid,
  'X-Auth-Unionid': session.unionid,
  'X-Session-Expires-In': String(Math.trunc(session.expires_at - Date.now() / 1000))
})

const newSessionid = () => randomBytes(49).toString('base64url')

const newSession = ({ openid, unionid = '', session_key }) => ({
  user: openid.slice(-16),
  openid,
  appid: WECHAT_APPID,
  unionid,
  session_key,
  expires_at: Date.now() / 1000 + TTL
})

const loginAnswer = (sessionid, user) => JSON.stringify({
  code: 0,
  msg: 'ok',
  data: {
    sessionid,
    expiresIn: TTL,
    isNewUser: false,
    user: { id: user, nickname: '用户ABCDEF', avatar: '/uploads/default-avatar.png', phone: null }
  }
})

// The one call to WeChat; null when it refuses the code.
async function code2session(code) {
  const query = new URLSearchParams({
    appid: WECHAT_APPID, secret: WECHAT_SECRET, js_code: code, grant_type: 'authorization_code'
  })
  const { body } = await wechat.request({ method: 'GET', path: `/sns/jscode2session?${query}` })
  const answer = await body.json()
  return answer.openid ? answer : null
}

module.exports = {
  PORT, REDIS_URL, TTL, REFUSAL, FAILURE, callerHeaders, loginHeaders, newSessionid, newSession, loginAnswer, code2session
}
