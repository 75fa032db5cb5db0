// What both peers in Node answer, and how they ask WeChat: as shared.py says it.
'use strict'

const { randomBytes } = require('node:crypto')
const { Pool } = require('undici')

const { PORT, REDIS_URL, WECHAT_API_BASE, WECHAT_APPID, WECHAT_SECRET } = process.env
const TTL = 7200
const REQUEST_ID = '0123456789abcdef'
const REFUSAL = '{"code":40102,"error":"session_expired"}'
const NICKNAME = '用户ABCDEF'
const AVATAR = '/uploads/default-avatar.png'
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

// Without accounts the openid stands in for the id, and nickname and picture are anybody's.
const anybody = ({ openid }) => ({ id: openid.slice(-16), nickname: NICKNAME, avatar: AVATAR, phone: null })

const newSession = ({ openid, unionid = '', session_key }, user) => ({
  user: user.id,
  openid,
  appid: WECHAT_APPID,
  unionid,
  session_key,
  expires_at: Date.now() / 1000 + TTL
})

const loginAnswer = (sessionid, { id, nickname, avatar, phone, isNew = false }) => JSON.stringify({
  code: 0,
  msg: 'ok',
  data: {
    sessionid,
    expiresIn: TTL,
    isNewUser: isNew,
    user: { id, nickname, avatar, phone }
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
  PORT, REDIS_URL, TTL, NICKNAME, AVATAR, REFUSAL, FAILURE,
  anybody, callerHeaders, loginHeaders, newSessionid, newSession, loginAnswer, code2session
}
