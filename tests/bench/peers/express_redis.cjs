// Express with node-redis: a middleware reads the session with one GET. node-redis sends what is asked
// in one turn of the event loop together.
'use strict'

const express = require('express')
const { createClient } = require('redis')
const accounts = require('./accounts.cjs')
const shared = require('./shared.cjs')

const app = express()
app.disable('x-powered-by')
app.disable('etag')
const redis = createClient({ url: shared.REDIS_URL })

async function guard(req, res, next) {
  const raw = await redis.get(`session:${req.get('sessionid')}`)
  if (raw === null) return res.status(401).type('application/json').send(shared.REFUSAL)
  req.session = JSON.parse(raw)
  next()
}

app.get('/verify', guard, (req, res) => {
  res.set(shared.callerHeaders(req.session)).type('text/plain').send('')
})

const logIn = (findUser) => async (req, res) => {
  const identity = await shared.code2session(req.body.code)
  if (!identity) return res.status(400).type('application/json').send(shared.FAILURE)
  const sessionid = shared.newSessionid()
  const user = findUser(identity)
  const session = shared.newSession(identity, user)
  const former = await redis.get(`user:${identity.openid}`)
  if (former) await redis.del(`session:${former}`)
  await redis.set(`session:${sessionid}`, JSON.stringify(session), { EX: shared.TTL })
  await redis.set(`user:${identity.openid}`, sessionid, { EX: shared.TTL })
  res.set(shared.loginHeaders).type('application/json').send(shared.loginAnswer(sessionid, user))
}

const body = express.json({ type: () => true })
app.post('/login', body, logIn(shared.anybody))
app.post('/accounts/login', body, logIn(accounts.findOrCreate))

redis.connect().then(() => app.listen(Number(shared.PORT), '127.0.0.1'))
