// Fastify with ioredis, which with enableAutoPipelining sends what is asked in one turn of the event
// loop as one pipeline.
'use strict'

const fastify = require('fastify')
const { Redis } = require('ioredis')
const accounts = require('./accounts.cjs')
const shared = require('./shared.cjs')

const app = fastify({ logger: false })
const redis = new Redis(shared.REDIS_URL, { enableAutoPipelining: true })

async function guard(request, reply) {
  const raw = await redis.get(`session:${request.headers.sessionid}`)
  if (raw === null) return reply.code(401).type('application/json').send(shared.REFUSAL)
  request.session = JSON.parse(raw)
}

app.decorateRequest('session', null)

app.get('/verify', { preHandler: guard }, async (request, reply) => {
  return reply.headers(shared.callerHeaders(request.session)).type('text/plain').send('')
})

const logIn = (findUser) => async (request, reply) => {
  const identity = await shared.code2session(request.body.code)
  if (!identity) return reply.code(400).type('application/json').send(shared.FAILURE)
  const sessionid = shared.newSessionid()
  const user = findUser(identity)
  const session = shared.newSession(identity, user)
  const former = await redis.get(`user:${identity.openid}`)
  if (former) await redis.del(`session:${former}`)
  await redis.set(`session:${sessionid}`, JSON.stringify(session), 'EX', shared.TTL)
  await redis.set(`user:${identity.openid}`, sessionid, 'EX', shared.TTL)
  return reply.headers(shared.loginHeaders).type('application/json').send(shared.loginAnswer(sessionid, user))
}

app.post('/login', logIn(shared.anybody))
app.post('/accounts/login', logIn(accounts.findOrCreate))

app.listen({ port: Number(shared.PORT), host: '127.0.0.1' })
